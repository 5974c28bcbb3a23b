"""The commands for recurring runs on a server."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from components.errors import InputError
from pipelines.cli import options
from pipelines.cli.terminal import console, print_if_dry, print_line
from pipelines.deployment.target import Target

app = typer.Typer(help="Manage recurring runs on a server.", no_args_is_help=True)


@app.command()
def apply(
    file: Annotated[
        Path | None, typer.Option(help="YAML file of recurring runs. Default: pipelines/schedules.yaml.")
    ] = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Delete recurring runs that an earlier `apply` created and the file lacks.")
    ] = False,
    dry_run: options.DryRun = False,
    registry: options.Registry = "",
    tag: options.Tag = "",
    endpoint: options.Endpoint = "",
    namespace: options.Namespace = "",
) -> None:
    """Create and update recurring runs so that the server matches a file.

    Each recurring run is pinned to the uploaded version of its pipeline. Recurring runs that were not created by this
    command stay unchanged.
    """
    from pipelines.deployment import recurring
    from pipelines.deployment.schedules import SCHEDULES, load_schedules
    from pipelines.deployment.upload import require_uploaded
    from pipelines.parameters import check_defaults

    path = file or SCHEDULES
    schedules = [each.with_typed_parameters(path) for each in load_schedules(path)]
    target = Target(endpoint, namespace, registry, tag)
    with target.compiled({schedule.pipeline for schedule in schedules}) as pipelines:
        for name, compiled in pipelines.items():
            check_defaults(name, compiled.path)
        with target.connected() as server:
            wanted = [
                recurring.Pinned(schedule, require_uploaded(server, pipelines[schedule.pipeline], schedule.version))
                for schedule in schedules
            ]
            for change in recurring.plan(wanted, server.recurring_runs(), prune):
                lines = recurring.differences(server, change)
                if not dry_run:
                    recurring.apply_change(server, change)
                print_line("\n  ".join([f"{change.name}: {change.action}", *lines]))
    print_if_dry(dry_run)


@app.command("list")
def list_(endpoint: options.Endpoint = "", namespace: options.Namespace = "") -> None:
    """List all recurring runs on the server."""
    from pipelines.deployment import recurring

    table = Table(box=None)
    for column in ("name", "state", "cron", "version", "created by"):
        table.add_column(column, overflow="fold")
    with Target(endpoint, namespace).connected() as server:
        for recurring_run in server.recurring_runs():
            table.add_row(
                recurring_run.display_name,
                "enabled" if recurring.is_enabled(recurring_run) else "disabled",
                recurring.cron_of(recurring_run),
                recurring.version_name(server, recurring_run),
                "apply" if recurring.name_of(recurring_run) else "others",
            )
    console.print(table)


@app.command()
def pause(
    names: Annotated[list[str] | None, typer.Argument(help="Names of the recurring runs to disable.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Disable all recurring runs that `apply` created.")] = False,
    dry_run: options.DryRun = False,
    endpoint: options.Endpoint = "",
    namespace: options.Namespace = "",
) -> None:
    """Disable recurring runs until the next `apply`.

    To keep one disabled, set `enabled: false` in the file.
    """
    from pipelines.deployment import recurring

    if bool(names) == all_:
        raise InputError("names: expected names of recurring runs, or --all. Give one of the two.")
    with Target(endpoint, namespace).connected() as server:
        for name in recurring.pause(server, names or [], dry_run):
            print_line(f"{name}: {recurring.Action.DISABLED}")
    print_if_dry(dry_run)

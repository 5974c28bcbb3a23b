"""The commands that talk to a server of Kubeflow Pipelines."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from components.errors import InputError

if TYPE_CHECKING:
    from pipelines.deployment.compiled import CompiledPipeline
    from pipelines.deployment.server import Server

Endpoint = Annotated[str, typer.Option(help="URL of the server; KF_PIPELINES_ENDPOINT by default.")]
Namespace = Annotated[str, typer.Option(help="Your namespace, where the server has several users.")]
Registry = Annotated[
    str,
    typer.Option(
        envvar="IMAGE_PIPELINES_REGISTRY",
        help="Compile for images in this registry, as in registry.example.com/team; the committed files if empty.",
    ),
]
Tag = Annotated[
    str, typer.Option(envvar="IMAGE_PIPELINES_TAG", help="Tag of the images there; this version's if empty.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Tell what would be done, and write nothing.")]

schedule_app = typer.Typer(help="Recurring runs, as pipelines/schedules.yaml has them.", no_args_is_help=True)
console = Console()


@dataclass(frozen=True)
class Target:
    """The server that a command talks to, and the images of the pipelines there; what is empty is the default.

    Attributes:
        endpoint: URL of the server.
        namespace: The user's namespace.
        registry: Registry of the images.
        tag: Their tag.
    """

    endpoint: str = ""
    namespace: str = ""
    registry: str = ""
    tag: str = ""

    @contextmanager
    def connected(self) -> "Iterator[Server]":
        """Connect to the server.

        Raises:
            InputError: See `pipelines.deployment.server.connected`.
        """
        from pipelines.deployment.server import connected
        from pipelines.deployment.server_settings import ServerSettings

        with connected(ServerSettings.load(endpoint=self.endpoint, namespace=self.namespace)) as server:
            yield server

    @contextmanager
    def compiled(self, names: Iterable[str]) -> "Iterator[dict[str, CompiledPipeline]]":
        """Yield pipelines, compiled for the images, by their names.

        Raises:
            InputError: See `pipelines.deployment.compiled.compiled_folder`.
        """
        from pipelines.deployment.compiled import compiled_folder, read_compiled

        with compiled_folder(self.registry, self.tag) as folder:
            yield {name: read_compiled(folder / f"{name}.yaml") for name in names}


def upload_pipelines(names: Iterable[str], target: Target, dry_run: bool) -> None:
    """Give the server a version of each pipeline with the content that it has here.

    Args:
        names: The pipelines.
        target: The server, and the images.
        dry_run: Whether to write nothing.
    """
    from pipelines.deployment.upload import upload

    with target.compiled(names) as pipelines, target.connected() as server:
        for compiled in pipelines.values():
            _say(f"{compiled.name}: {upload(server, compiled, dry_run)} ({compiled.version})")
    _say_if_dry(dry_run)


def run_on_server(
    name: str, pairs: list[str], target: Target, experiment: str, service_account: str, wait: bool
) -> None:
    """Start a run of a pipeline on the server.

    Args:
        name: The pipeline.
        pairs: Pipeline parameters, as NAME=VALUE.
        target: The server, and the images.
        experiment: Name of the experiment that it belongs to.
        service_account: The account that its tasks run as; empty takes the server's.
        wait: Whether to wait until it has ended.
    """
    from pipelines.deployment.runs import start_run, wait_for
    from pipelines.parameters import parse_parameters

    with target.compiled([name]) as pipelines:
        compiled = pipelines[name]
        arguments = parse_parameters(compiled.path, pairs)
        with target.connected() as server:
            run = start_run(server, compiled, arguments, experiment, service_account)
            source = f"version {run.version}" if run.version else "the compiled file, which was not uploaded"
            _say(f"Run {run.run_id} of {source}\n{run.url}")
            if wait:
                wait_for(server, run, _say)


@schedule_app.command("apply")
def apply(
    file: Annotated[Path | None, typer.Option(help="The file; pipelines/schedules.yaml by default.")] = None,
    prune: Annotated[bool, typer.Option("--prune", help="Delete those of ours that the file lacks.")] = False,
    dry_run: DryRun = False,
    registry: Registry = "",
    tag: Tag = "",
    endpoint: Endpoint = "",
    namespace: Namespace = "",
) -> None:
    """Make the server's recurring runs what the file says."""
    from pipelines.deployment import recurring
    from pipelines.deployment.schedules import SCHEDULES, load_schedules
    from pipelines.deployment.upload import require_uploaded

    path = file or SCHEDULES
    schedules = load_schedules(path)
    target = Target(endpoint, namespace, registry, tag)
    with target.compiled({each.pipeline for each in schedules}) as pipelines:
        for schedule in schedules:
            schedule.check_parameters(pipelines[schedule.pipeline].path, path)
        with target.connected() as server:
            wanted = [
                recurring.Pinned(each, require_uploaded(server, pipelines[each.pipeline], each.version))
                for each in schedules
            ]
            for change in recurring.plan(wanted, server.recurring_runs(), prune):
                lines = recurring.differences(server, change)
                if not dry_run:
                    recurring.carry_out(server, change)
                _say("\n  ".join([f"{change.name}: {change.action}", *lines]))
    _say_if_dry(dry_run)


@schedule_app.command("list")
def list_(endpoint: Endpoint = "", namespace: Namespace = "") -> None:
    """List the server's recurring runs."""
    from pipelines.deployment import recurring

    table = Table(box=None)
    for column in ("name", "state", "cron", "version", "made by"):
        table.add_column(column, overflow="fold")
    with Target(endpoint, namespace).connected() as server:
        for each in server.recurring_runs():
            table.add_row(
                each.display_name,
                "on" if recurring.is_enabled(each) else "off",
                recurring.cron_of(each),
                recurring.version_name(server, each),
                "schedules.yaml" if recurring.name_of(each) else "others",
            )
    console.print(table)


@schedule_app.command()
def pause(
    names: Annotated[list[str] | None, typer.Argument(help="Those to turn off.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Turn off all that were applied from a file.")] = False,
    dry_run: DryRun = False,
    endpoint: Endpoint = "",
    namespace: Namespace = "",
) -> None:
    """Turn recurring runs off until the next `apply`; for longer, write `enabled: false` into the file."""
    from pipelines.deployment import recurring

    if bool(names) == all_:
        raise InputError("name: give the names of the recurring runs to turn off, or --all. Correct it.")
    with Target(endpoint, namespace).connected() as server:
        for name in recurring.pause(server, names or [], dry_run):
            _say(f"{name}: {recurring.Action.DISABLED}")
    _say_if_dry(dry_run)


def _say(text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _say_if_dry(dry_run: bool) -> None:
    if dry_run:
        _say("Nothing was written.")

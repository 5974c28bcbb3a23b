"""The command that examines an installation."""

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli import options
from pipelines.deployment.target import Target
from pipelines.doctor.formats import ReportFormat
from pipelines.doctor.names import CheckName

if TYPE_CHECKING:
    from components.settings import Settings
    from pipelines.doctor.context import Context


def doctor(
    checks: Annotated[
        list[CheckName] | None, typer.Argument(metavar="CHECK...", help=f"Checks to run: {', '.join(CheckName)}.")
    ] = None,
    form: Annotated[ReportFormat, typer.Option("--format", help="Format of the findings.")] = ReportFormat.TEXT,
    write: Annotated[
        bool,
        typer.Option(
            "--write",
            help="Also write probe objects into the lake, the destination and the archive, take a lock, and start a pod"
            " in each pool. All are removed.",
        ),
    ] = False,
    file: Annotated[
        Path | None,
        typer.Option(
            help="YAML file of recurring runs: check these, and compare them with the server. Default: those on the"
            " server, or else those in pipelines/schedules.yaml."
        ),
    ] = None,
    lake: options.Lake = "",
    registry: options.Registry = "",
    tag: options.Tag = "",
    endpoint: options.Endpoint = "",
    namespace: options.Namespace = "",
) -> None:
    """Examine the installation, and print what is wrong and what to do.

    The checks use the functions of the steps, with the settings of the environment. Without --write, they only read.
    Each check has a time limit, and a check that fails does not stop the others.

    The command exits with 1 if there is an error. Warnings do not change the exit code.
    """
    from pipelines.doctor.context import Context
    from pipelines.doctor.examine import examine
    from pipelines.doctor.finding import Level
    from pipelines.doctor.report import write_report

    def context(settings: "Settings") -> "Context":
        return Context(settings, write, file, Target(endpoint, namespace, registry, tag))

    # A check may print progress, redirect the standard output, and still run when the report is printed.
    stream = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        worst = write_report(examine(lake, context, checks or ()), form, stream)
    if worst is Level.ERROR:
        raise typer.Exit(1)

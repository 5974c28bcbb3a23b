"""The command that takes back annotations."""

from typing import Annotated

import typer

from pipelines.cli import options
from pipelines.cli.terminal import print_if_dry, print_line

app = typer.Typer(help="Take back labels that people gave.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `undo` a command of its own: Typer would make a group of one command that command."""


@app.command()
def undo(
    batch: Annotated[str, typer.Option(help="Annotations of this exported batch.")] = "",
    since: Annotated[
        str, typer.Option(help="Annotations of this time or later, in UTC, e.g. 2026-11-29 or 2026-11-29T14:30.")
    ] = "",
    annotator: Annotated[str, typer.Option(help="Annotations of this person, as in the table annotations.")] = "",
    lake: options.Lake = "",
    dry_run: options.DryRun = False,
) -> None:
    """Take back annotations, e.g. of one batch or person.

    The labels of their images are decided again, and their labeling requests are open again.

    Several options select the annotations that match all of them. The annotations stay in the lake, marked as taken
    back, and an export of the labeling service that still contains them does not bring them back. New annotations of
    the same images count.
    """
    from components.import_labels.undo import Selection, undo
    from components.settings import Settings
    from pipelines.quiet_lake import quiet_lake

    selection = Selection.parse(batch, annotator, since)
    with quiet_lake(Settings.load(lake=lake)) as opened:
        opened.update()
        print_line(undo(opened, selection, dry_run).sentence(dry_run))
    print_if_dry(dry_run)

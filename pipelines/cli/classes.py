"""The commands that list and change the classes of a lake."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli import options
from pipelines.cli.terminal import console, print_if_dry, print_line
from pipelines.query.output import Format, print_result
from pipelines.query.result import Kind, QueryResult

if TYPE_CHECKING:
    from components.import_labels.class_edits import Classes, Edit
    from components.import_labels.edit_classes import ListedClass

app = typer.Typer(
    help="List, rename, merge, retire and restore classes. A class is given by its id or name.", no_args_is_help=True
)

Class = Annotated[str, typer.Argument(metavar="CLASS", help="Id or name of the class.")]
SomeClasses = Annotated[list[str], typer.Argument(metavar="CLASS...", help="Ids or names of classes.")]


@app.command("list")
def list_(lake: options.Lake = "", form: options.Format = Format.TABLE) -> None:
    """List all classes with their numbers of images."""
    from components.import_labels.edit_classes import list_classes
    from components.settings import Settings
    from pipelines.quiet_lake import quiet_lake

    with quiet_lake(Settings.load(lake=lake)) as opened:
        opened.update()
        columns = ("class", "name", "images", "named by", "state")
        kinds = (Kind.NUMBER, Kind.TEXT, Kind.NUMBER, Kind.TEXT, Kind.TEXT)
        print_result(QueryResult(columns, kinds, map(_row, list_classes(opened))), form, console)


@app.command()
def rename(
    name: Class,
    new_name: Annotated[str, typer.Argument(metavar="NAME", help="The new name.")],
    lake: options.Lake = "",
    dry_run: options.DryRun = False,
) -> None:
    """Give a class another name. Its id, its images and trained models stay as they are."""
    _edit(lambda classes: classes.rename(name, new_name), lake, dry_run)


@app.command()
def merge(
    names: SomeClasses,
    into: Annotated[str, typer.Option(help="Id or name of the class that counts from now on.")],
    lake: options.Lake = "",
    dry_run: options.DryRun = False,
) -> None:
    """Merge classes into another one.

    Their images, also future ones, count as images of that class.
    """
    _edit(lambda classes: classes.merge(names, into), lake, dry_run)


@app.command()
def retire(names: SomeClasses, lake: options.Lake = "", dry_run: options.DryRun = False) -> None:
    """Retire classes: their images become unlabeled.

    This holds for future images, too. Unlabeled images can be scored and labeled again.
    """
    _edit(lambda classes: classes.retire(names), lake, dry_run)


@app.command()
def restore(names: SomeClasses, lake: options.Lake = "", dry_run: options.DryRun = False) -> None:
    """Take back the merge or the retirement of classes.

    Their images have their labels again.
    """
    _edit(lambda classes: classes.restore(names), lake, dry_run)


def _edit(edit: "Callable[[Classes], Edit]", lake: str, dry_run: bool) -> None:
    from components.import_labels.edit_classes import edit_classes
    from components.settings import Settings
    from pipelines.quiet_lake import quiet_lake

    with quiet_lake(Settings.load(lake=lake)) as opened:
        opened.update()
        print_line(edit_classes(opened, edit, dry_run).sentence)
    print_if_dry(dry_run)


def _row(listed: "ListedClass") -> tuple[str | None, ...]:
    found = listed.lake_class
    return str(found.label), found.name, str(listed.images), listed.source, found.state

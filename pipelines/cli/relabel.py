"""The command that labels the images of a source again."""

from typing import Annotated

import typer
from rich.table import Column, Table
from rich.text import Text

from pipelines.cli import options
from pipelines.cli.terminal import console


def relabel(
    source: Annotated[
        str, typer.Option(help="Landing folder of the images. Default: the setting labeled_source.")
    ] = "",
    lake: options.Lake = "",
    label_pattern: Annotated[
        str,
        typer.Option(
            help="Regular expression that finds the class in the path below the source, by a group named label (class"
            " id) or name. Default: folders are classes from now on, even if they were in doubt."
        ),
    ] = "",
) -> None:
    """Give the images of a source the labels of their folders again.

    Use it after a wrong label_pattern, or if folders are classes that ingest has taken for doubtful.
    """
    from components.ingest_images import relabel
    from components.settings import Settings

    result = relabel.relabel(Settings.load(lake=lake), source, label_pattern)
    table = Table(Column("label", justify="right"), Column("class", overflow="fold"), Column("images", justify="right"))
    for (label, name), images in sorted(result.classes.items()):
        # Text, because Rich would read brackets in a name as markup.
        table.add_row(str(label), Text(name), f"{images:,}")
    for reason, images in result.without_class.most_common():
        table.add_row("", Text(f"none: {reason}"), f"{images:,}")
    console.print(table)
    console.print(f"{result.changed:,} images have another label than before.")

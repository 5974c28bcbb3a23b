"""The command that takes files out of quarantine."""

from typing import Annotated

import typer
from rich.table import Column, Table
from rich.text import Text

from components.ingest_images.limits import Limits
from pipelines.cli import options
from pipelines.cli.terminal import console


def requeue(
    path: Annotated[list[str], typer.Argument(help="Paths of the files, as in the table quarantine.")],
    lake: options.Lake = "",
    labeled: Annotated[
        bool | None,
        typer.Option(
            "--labeled/--unlabeled",
            help="Whether folders name the classes of the files. Default: by the landing folder that contains a file.",
        ),
    ] = None,
    label_pattern: Annotated[
        str,
        typer.Option(
            help="Regular expression that finds the class in the path below the source, by a group named label (class"
            " id) or name. Default: folders name the classes."
        ),
    ] = "",
    max_bytes: Annotated[int, typer.Option(min=1, help="Largest accepted file, in bytes.")] = Limits.bytes,
    max_pixels: Annotated[int, typer.Option(min=1, help="Largest accepted image, in pixels.")] = Limits.pixels,
) -> None:
    """Validate unchanged files again, and take valid ones out of quarantine.

    Use it to admit larger images, after granting access to files, or to correct labels with another label pattern.
    """
    from components.ingest_images import requeue
    from components.settings import Settings

    limits = Limits(bytes=max_bytes, pixels=max_pixels)
    table = Table(Column("file", overflow="fold"), Column("result", overflow="fold"))
    for file in requeue.requeue(Settings.load(lake=lake), path, labeled, label_pattern, limits):
        result = "image" if file.reason is None else f"no image: {file.reason}"
        # Text, because Rich would read brackets in a path as markup.
        table.add_row(Text(file.path), Text(result))
    console.print(table)

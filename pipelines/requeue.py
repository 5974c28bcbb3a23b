"""The command that takes files out of quarantine."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from components.ingest_images.limits import Limits
from components.ingest_images.requeue import requeue
from components.settings import Settings


def print_requeued(
    console: Console, paths: Sequence[str], lake: str, labelled: bool | None, label_pattern: str, limits: Limits
) -> None:
    """Judge files again, and print where each of them is by now.

    Args:
        console: Where to.
        paths: The files.
        lake: Root URI of the lake; empty takes it from the settings.
        labelled: Whether the folder that an image is in names its class; None decides by the settings' folders.
        label_pattern: Regular expression with one group, the class' number.
        limits: What an image may be at most.

    Raises:
        InputError: A path is malformed, or it is not known whether it is labelled.
    """
    table = Table(Column("file", overflow="fold"), Column("is", overflow="fold"))
    for each in requeue(Settings.load(lake=lake), paths, labelled, label_pattern, limits):
        where = "in images" if each.reason is None else f"not in images: {each.reason}"
        # Texts, because a path may have what Rich takes for markup.
        table.add_row(Text(each.path), Text(where))
    console.print(table)

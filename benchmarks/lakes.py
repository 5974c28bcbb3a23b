"""Images and classes for the lakes of benchmarks that do not measure ingest."""

from collections.abc import Sequence
from datetime import UTC, datetime

from components.lake import Lake
from components.lake.tables import CLASSES, PEOPLE
from tests.support.lake_rows import append_images, append_rows


def image_path(number: int) -> str:
    """Return the path of an image."""
    return f"file:/landing/{number:06}.jpg"


def insert_images(lake: Lake, images: Sequence[bytes], first: int = 0) -> None:
    """Insert images without a label.

    Args:
        lake: The lake.
        images: Content of the images.
        first: Number of the first image in its path.
    """
    now = datetime.now(UTC).replace(microsecond=0)
    append_images(lake, [(image_path(number), content, None) for number, content in enumerate(images, first)], now)


def insert_classes(lake: Lake) -> None:
    """Insert the classes of the benchmarks' models."""
    append_rows(lake, CLASSES, [(1, "one", None, PEOPLE), (2, "two", None, PEOPLE)])

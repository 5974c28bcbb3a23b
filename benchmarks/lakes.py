"""Putting images into a lake as ingest would, where ingest is not what is measured."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

from components.lake import Lake, frame
from components.lake.tables import CLASSES, IMAGES

# Rows are sent through the driver, whose heap has to hold them some times over.
_ROWS = 1000


def image_path(number: int) -> str:
    """Return the path of an image by its number."""
    return f"file:/landing/{number:06}.jpg"


def insert_images(lake: Lake, images: Sequence[bytes], first: int = 0) -> None:
    """Put images without a label into a lake.

    Args:
        lake: Where to.
        images: Their files.
        first: Number of the first one, which its path is made of.
    """
    now = datetime.now(UTC)
    for start in range(0, len(images), _ROWS):
        rows = [
            (
                image_path(first + start + position),
                now,
                len(content),
                content,
                hashlib.sha256(content).hexdigest(),
                None,
                now.date(),
                now,
            )
            for position, content in enumerate(images[start : start + _ROWS])
        ]
        lake.insert_new(IMAGES, frame(lake.spark, rows, IMAGES.columns))


def insert_classes(lake: Lake) -> None:
    """Put the classes of the benchmarks' models into a lake."""
    lake.insert_new(CLASSES, frame(lake.spark, [(1, "one", None), (2, "two", None)], CLASSES.columns))

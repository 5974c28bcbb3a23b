"""Putting images and labels into a lake, where neither ingest nor import_labels is what is measured."""

from collections.abc import Sequence
from datetime import UTC, datetime

from components.import_labels.formats import DEFAULT_SERVICE
from components.lake import Lake, frame
from components.lake.tables import ANNOTATIONS, CLASSES, LABELS
from tests.local import scored_lake

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
        part = enumerate(images[start : start + _ROWS], first + start)
        scored_lake.insert_images(lake, {image_path(number): content for number, content in part}, ingested_at=now)


def insert_classes(lake: Lake) -> None:
    """Put the classes of the benchmarks' models into a lake."""
    lake.insert_new(CLASSES, frame(lake.spark, [(1, "one", None), (2, "two", None)], CLASSES.columns))


def insert_labels(lake: Lake, numbers: Sequence[int]) -> None:
    """Put what one person said of images into a lake, and the labels that it makes.

    Args:
        lake: Where to.
        numbers: Those of the images.
    """
    now = datetime.now(UTC)
    said = [(DEFAULT_SERVICE, f"{number}", image_path(number), 1, "", now, None) for number in numbers]
    labels = [(image_path(number), 1, DEFAULT_SERVICE, now) for number in numbers]
    for table, rows in ((ANNOTATIONS, said), (LABELS, labels)):
        lake.insert_new(table, frame(lake.spark, rows, table.columns))

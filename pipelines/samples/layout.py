"""The layout of a sample.

<folder>/labeled/001.zero/001_0002.jpg    images labeled by their folder
<folder>/unlabeled/digit-0001.jpg         images that arrive later
<folder>/answers.csv                      true labels of the unlabeled images
"""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from components.atomic_write import atomic_write
from components.errors import InputError

LABELED = "labeled"
UNLABELED = "unlabeled"
TRUE_LABELS = "answers.csv"
TRUE_LABELS_COLUMNS = ("path", "label", "name")


@dataclass(frozen=True)
class SampleSummary:
    """The content of a sample.

    Attributes:
        labeled_folder: Folder of the labeled images.
        unlabeled_folder: Folder of the unlabeled images.
        true_labels: CSV file with the true labels of the unlabeled images: path relative to the sample, label, name.
        classes: Number of classes.
        labeled: Number of labeled images.
        unlabeled: Number of unlabeled images.
        written: Number of files that were missing and have been written.
    """

    labeled_folder: Path
    unlabeled_folder: Path
    true_labels: Path
    classes: int
    labeled: int
    unlabeled: int
    written: int


def true_labels_csv(rows: Iterable[tuple[str, int, str]]) -> bytes:
    """Return the CSV file of true labels: path relative to the sample, label, name."""
    true_labels = io.StringIO(newline="")
    writer = csv.writer(true_labels, lineterminator="\n")
    writer.writerow(TRUE_LABELS_COLUMNS)
    writer.writerows(rows)
    return true_labels.getvalue().encode()


def write_missing(path: Path, content: bytes) -> bool:
    """Write a missing file atomically; return whether it was written."""
    if path.exists():
        return False
    with atomic_write(path) as file:
        file.write(content)
    return True


def unwritable(folder: Path, error: OSError) -> InputError:
    """Return the error to raise if the sample's folder can't be written to."""
    return InputError(
        f"to: can't write to '{folder}' ({error.strerror}). Choose a folder that is writable and has enough space."
    )

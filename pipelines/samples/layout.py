"""How a sample is laid out.

<folder>/labelled/001.zero/001_0002.jpg    labelled by their folder
<folder>/unlabelled/digit-0001.jpg         what arrives later
<folder>/answers.csv                       what people would say about the unlabelled ones
"""

import csv
import io
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from components.errors import InputError

LABELLED = "labelled"
UNLABELLED = "unlabelled"
ANSWERS = "answers.csv"
ANSWER_COLUMNS = ("path", "label", "name")


@dataclass(frozen=True)
class SampleSummary:
    """What a sample consists of.

    Attributes:
        labelled_folder: Where the labelled images are.
        unlabelled_folder: Where the other ones are.
        answers: CSV file of the true labels of the unlabelled images: path relative to the sample, label, name.
        classes: How many classes there are.
        labelled: How many labelled images there are.
        unlabelled: How many unlabelled images there are.
        written: How many files were missing and have been written.
    """

    labelled_folder: Path
    unlabelled_folder: Path
    answers: Path
    classes: int
    labelled: int
    unlabelled: int
    written: int


def answers_csv(rows: Iterable[tuple[str, int, str]]) -> bytes:
    """Return the file of true labels for rows of path relative to the sample, label and name."""
    answers = io.StringIO(newline="")
    writer = csv.writer(answers, lineterminator="\n")
    writer.writerow(ANSWER_COLUMNS)
    writer.writerows(rows)
    return answers.getvalue().encode()


def write_missing(path: Path, content: bytes) -> bool:
    """Write a file that is not there, whole or not at all; return whether it was written."""
    if path.exists():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    os.replace(part, path)
    return True


def unwritable(folder: Path, error: OSError) -> InputError:
    """Return what to raise when a sample's folder can't be written to."""
    return InputError(
        f"to: can't write to '{folder}' ({error.strerror}). Give a folder that you may write to and that has room."
    )

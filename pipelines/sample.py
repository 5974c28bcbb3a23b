"""Sample images to try the pipelines on, in the layout of Caltech-256.

<folder>/labelled/001.zero/001_0002.jpg    labelled by their folder
<folder>/unlabelled/digit-0001.jpg         every tenth image of each class, as what arrives later
<folder>/answers.csv                       what people would say about the unlabelled ones
"""

import csv
import hashlib
import io
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from components.errors import InputError

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
ANSWERS = "answers.csv"
ANSWER_COLUMNS = ("path", "label", "name")

_HELD_BACK = 10
_SIDE = 32
_JPEG_QUALITY = 95


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


@dataclass(frozen=True)
class _Digit:
    label: int
    number: int
    content: bytes

    @property
    def held_back(self) -> bool:
        # The first one of each class is, as Caltech-256's *_0001.jpg are in the reference system.
        return self.number % _HELD_BACK == 1

    @property
    def shuffled(self) -> bytes:
        """Key of an order that has nothing to do with the label."""
        return hashlib.sha256(f"{self.label}/{self.number}".encode()).digest()

    @property
    def labelled_path(self) -> str:
        return f"labelled/{self.label:03}.{NAMES[self.label - 1]}/{self.label:03}_{self.number:04}.jpg"


def make_digits(folder: Path) -> SampleSummary:
    """Write the handwritten digits that come with scikit-learn as JPEG files; leave those that are there as they are.

    Args:
        folder: Where to; made if there is none.

    Returns:
        What the sample consists of.

    Raises:
        InputError: The folder can't be written to.
    """
    labelled, unlabelled = {}, {}
    digits = list(_digits())
    for digit in digits:
        if not digit.held_back:
            labelled[digit.labelled_path] = digit.content
    answers = io.StringIO(newline="")
    writer = csv.writer(answers, lineterminator="\n")
    writer.writerow(ANSWER_COLUMNS)
    # Shuffled, so that a name says nothing of the class; the same way each time, so that a second call finds its files.
    arriving = sorted((digit for digit in digits if digit.held_back), key=lambda digit: digit.shuffled)
    for position, digit in enumerate(arriving, start=1):
        path = f"unlabelled/digit-{position:04}.jpg"
        unlabelled[path] = digit.content
        writer.writerow((path, digit.label, NAMES[digit.label - 1]))
    files = labelled | unlabelled | {ANSWERS: answers.getvalue().encode()}
    try:
        written = sum(_write_missing(folder / path, content) for path, content in files.items())
    except OSError as error:
        raise InputError(
            f"to: can't write to '{folder}' ({error.strerror}). Give a folder that you may write to."
        ) from error
    return SampleSummary(
        labelled_folder=folder / "labelled",
        unlabelled_folder=folder / "unlabelled",
        answers=folder / ANSWERS,
        classes=len(NAMES),
        labelled=len(labelled),
        unlabelled=len(unlabelled),
        written=written,
    )


def _digits() -> Iterator[_Digit]:
    """Yield scikit-learn's digits as JPEG files, numbered within their class: dark ink on white."""
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    counts: dict[int, int] = defaultdict(int)
    for ink, digit in zip(digits.images, digits.target, strict=True):
        label = int(digit) + 1
        counts[label] += 1
        grey = Image.fromarray((255 - ink * (255 / 16)).astype("uint8"))
        buffer = io.BytesIO()
        large = grey.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
        large.convert("RGB").save(buffer, "JPEG", quality=_JPEG_QUALITY)
        yield _Digit(label, counts[label], buffer.getvalue())


def _write_missing(path: Path, content: bytes) -> bool:
    """Write a file that is not there, whole or not at all; return whether it was written."""
    if path.exists():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    os.replace(part, path)
    return True

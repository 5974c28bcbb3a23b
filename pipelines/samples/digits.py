"""The handwritten digits that come with scikit-learn, as a sample: every tenth image of each class arrives later."""

import hashlib
import io
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipelines.samples.layout import (
    ANSWERS,
    LABELLED,
    UNLABELLED,
    SampleSummary,
    answers_csv,
    unwritable,
    write_missing,
)

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

_HELD_BACK = 10
_SIDE = 32
_JPEG_QUALITY = 95


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
        return f"{LABELLED}/{self.label:03}.{NAMES[self.label - 1]}/{self.label:03}_{self.number:04}.jpg"


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
    answers = []
    # Shuffled, so that a name says nothing of the class; the same way each time, so that a second call finds its files.
    arriving = sorted((digit for digit in digits if digit.held_back), key=lambda digit: digit.shuffled)
    for position, digit in enumerate(arriving, start=1):
        path = f"{UNLABELLED}/digit-{position:04}.jpg"
        unlabelled[path] = digit.content
        answers.append((path, digit.label, NAMES[digit.label - 1]))
    files = labelled | unlabelled | {ANSWERS: answers_csv(answers)}
    try:
        written = sum(write_missing(folder / path, content) for path, content in files.items())
    except OSError as error:
        raise unwritable(folder, error) from error
    return SampleSummary(
        labelled_folder=folder / LABELLED,
        unlabelled_folder=folder / UNLABELLED,
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

"""The handwritten digits of scikit-learn as a sample: every tenth image of each class arrives later."""

import hashlib
import io
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipelines.samples.layout import (
    LABELED,
    TRUE_LABELS,
    UNLABELED,
    SampleSummary,
    true_labels_csv,
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
        # Including the first image of each class, like *_0001.jpg of Caltech-256 in the reference system.
        return self.number % _HELD_BACK == 1

    @property
    def shuffled(self) -> bytes:
        """Sort key that is independent of the label."""
        return hashlib.sha256(f"{self.label}/{self.number}".encode()).digest()

    @property
    def labeled_path(self) -> str:
        return f"{LABELED}/{self.label:03}.{NAMES[self.label - 1]}/{self.label:03}_{self.number:04}.jpg"


def make_digits(folder: Path) -> SampleSummary:
    """Write scikit-learn's handwritten digits as JPEG files, if they are missing.

    Args:
        folder: Folder of the sample.

    Returns:
        The content of the sample.

    Raises:
        InputError: The folder can't be written to.
    """
    labeled, unlabeled = {}, {}
    digits = list(_digits())
    for digit in digits:
        if not digit.held_back:
            labeled[digit.labeled_path] = digit.content
    true_labels = []
    # Shuffled, so that file names do not reveal the class; deterministic, so that a second call finds its files.
    arriving = sorted((digit for digit in digits if digit.held_back), key=lambda digit: digit.shuffled)
    for position, digit in enumerate(arriving, start=1):
        path = f"{UNLABELED}/digit-{position:04}.jpg"
        unlabeled[path] = digit.content
        true_labels.append((path, digit.label, NAMES[digit.label - 1]))
    files = labeled | unlabeled | {TRUE_LABELS: true_labels_csv(true_labels)}
    try:
        written = sum(write_missing(folder / path, content) for path, content in files.items())
    except OSError as error:
        raise unwritable(folder, error) from error
    return SampleSummary(
        labeled_folder=folder / LABELED,
        unlabeled_folder=folder / UNLABELED,
        true_labels=folder / TRUE_LABELS,
        classes=len(NAMES),
        labeled=len(labeled),
        unlabeled=len(unlabeled),
        written=written,
    )


def _digits() -> Iterator[_Digit]:
    """Yield scikit-learn's digits as JPEG files, dark on white, numbered within their class."""
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    counts: dict[int, int] = defaultdict(int)
    for ink, digit in zip(digits.images, digits.target, strict=True):
        label = int(digit) + 1
        counts[label] += 1
        gray = Image.fromarray((255 - ink * (255 / 16)).astype("uint8"))
        buffer = io.BytesIO()
        large = gray.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
        large.convert("RGB").save(buffer, "JPEG", quality=_JPEG_QUALITY)
        yield _Digit(label, counts[label], buffer.getvalue())

"""Recall and precision of near-duplicates among photographs."""

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from benchmarks.bench import Bench
from benchmarks.results import Direction, Goal, Row
from benchmarks.timing import Spread
from components.training_set.near_duplicates import MAXIMUM_DISTANCE
from tests.support import training_set_factory

if TYPE_CHECKING:
    from PIL.Image import Image

Box = tuple[int, int, int, int]

# Crops of a half, a third and a quarter of a photograph's sides.
_TILES = (2, 3, 4)
_ORIGINAL_QUALITY = 95
_QUALITIES = (50, 60, 70, 80, 90, 95)
_SCALES = (0.5, 0.75, 1.25, 1.5)
_SHIFTS = (0.01, 0.02, 0.03)
# Of cameras and programs.
_QUALITY = 90
_DIGITS = 1797
_RECALL = "near-duplicates, recall"


@dataclass(frozen=True)
class Crop:
    """A crop of a photograph, and its variants as files.

    Attributes:
        original: The crop as a JPEG.
        variants: Near-duplicates of it by kind, e.g. `quality` and `50`.
    """

    original: bytes
    variants: Mapping[tuple[str, str], Sequence[bytes]]


def measure(bench: Bench) -> Iterable[Row]:
    """Count the variants of crops that are found, and the pairs of other crops that are not told apart."""
    crops = [_crop(photograph, box) for photograph in _photographs() for box in _boxes(photograph)]
    originals = [_hash(crop.original) for crop in crops]
    found: dict[tuple[str, str], list[bool]] = {}
    for crop, original in zip(crops, originals, strict=True):
        for kind, files in crop.variants.items():
            found.setdefault(kind, []).extend(_is_near(original, _hash(file)) for file in files)
    yield _recall_row("quality", "re-encoded at JPEG qualities of 50 to 95", 0.9, found, len(crops))
    yield _recall_row("scale", "resized to 50 to 150 %", 0.9, found, len(crops))
    yield _recall_row("shift", "shifted by 1 to 3 % of the side", 0.9, found, len(crops))
    yield _precision_row(crops)


def _recall_row(kind: str, size: str, goal: float, found: Mapping[tuple[str, str], Sequence[bool]], crops: int) -> Row:
    each = {name: values for (group, name), values in found.items() if group == kind}
    recall = float(np.mean([value for values in each.values() for value in values]))
    return Row(
        name=_RECALL,
        size=f"{crops} crops {size}",
        unit="%",
        ours=Spread.of([100 * recall]),
        ratio=Spread.of([recall]),
        goal=Goal(direction=Direction.AT_LEAST, value=goal),
        how="Ours is the percentage of variants whose perceptual hash differs from the original's in at most"
        f" {MAXIMUM_DISTANCE} bits. The ratio is the same as a fraction. The originals are crops of scikit-learn's two"
        " photographs and Matplotlib's one, a half, a third and a quarter as wide and high.",
        details={f"recall at {name}": f"{100 * float(np.mean(values)):.0f} %" for name, values in each.items()},
    )


def _precision_row(crops: Sequence[Crop]) -> Row:
    files = [
        (number, file)
        for number, crop in enumerate(crops)
        for file in (crop.original, *(each for files in crop.variants.values() for each in files))
    ]
    crops_by_hash: dict[int, Counter[int]] = {}
    for number, file in files:
        if (value := _hash(file)) is not None:
            crops_by_hash.setdefault(value, Counter())[number] += 1
    distinct, counts = np.array(list(crops_by_hash), np.int64), list(crops_by_hash.values())
    # Not each file with itself.
    near = right = -sum(count.total() for count in counts)
    for first, second in _near_pairs(distinct).tolist():
        near += counts[first].total() * counts[second].total()
        right += sum(number * counts[second][crop] for crop, number in counts[first].items())
    precision = right / near
    return Row(
        name="near-duplicates, precision",
        size=f"{len(files):,} variants of {len(crops)} crops",
        unit="%",
        ours=Spread.of([100 * precision]),
        ratio=Spread.of([precision]),
        goal=Goal(direction=Direction.AT_LEAST, value=0.99),
        how="Ours is the percentage of the pairs of files with near hashes that are variants of one crop. The ratio is"
        " the same as a fraction. All variants of all crops are compared. Crops of different sizes overlap by up to"
        " 56 % of the larger one.",
        details={"near pairs among all handwritten digits": _near_digits()},
    )


def _near_digits() -> str:
    hashes = [value for file, _ in training_set_factory.digits(_DIGITS) if (value := _hash(file)) is not None]
    distinct = np.unique(np.array(hashes, np.int64))
    pairs = _near_pairs(distinct)
    near = int(np.count_nonzero(pairs[:, 0] < pairs[:, 1]))
    return f"{near} of {len(distinct) * (len(distinct) - 1) // 2:,}"


def _hash(file: bytes) -> int | None:
    from components.preprocessing.perceptual_hash import perceptual_hash

    return perceptual_hash(file)


def _near_pairs(hashes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the indices of near hashes, shape (pairs, 2). Each hash is near itself."""
    # Of a negative number, `bitwise_count` counts the bits of its absolute value.
    unsigned = hashes.view(np.uint64)
    return np.argwhere(np.bitwise_count(unsigned[:, None] ^ unsigned) <= MAXIMUM_DISTANCE)


def _is_near(first: int | None, second: int | None) -> bool:
    if first is None or second is None:
        return False
    return ((first ^ second) & 2**64 - 1).bit_count() <= MAXIMUM_DISTANCE


def _photographs() -> Iterator["Image"]:
    from matplotlib import get_data_path
    from PIL import Image
    from sklearn.datasets import load_sample_images

    for pixels in load_sample_images().images:
        yield Image.fromarray(pixels)
    yield Image.open(Path(get_data_path(), "sample_data", "grace_hopper.jpg")).convert("RGB")


def _boxes(photograph: "Image") -> Iterator[Box]:
    for tiles in _TILES:
        width, height = photograph.width // tiles, photograph.height // tiles
        for left, top in product(range(tiles), range(tiles)):
            yield left * width, top * height, (left + 1) * width, (top + 1) * height


def _crop(photograph: "Image", box: Box) -> Crop:
    picture = photograph.crop(box)
    return Crop(
        _jpeg(picture, _ORIGINAL_QUALITY),
        {
            **{("quality", f"quality {quality}"): [_jpeg(picture, quality)] for quality in _QUALITIES},
            **{("scale", f"{100 * scale:.0f} %"): [_resized(picture, scale)] for scale in _SCALES},
            **{("shift", f"{100 * shift:.0f} %"): _shifted(photograph, box, shift) for shift in _SHIFTS},
        },
    )


def _resized(picture: "Image", scale: float) -> bytes:
    size = round(scale * picture.width), round(scale * picture.height)
    return _jpeg(picture.resize(size), _QUALITY)


def _shifted(photograph: "Image", box: Box, fraction: float) -> list[bytes]:
    """Return crops shifted horizontally, vertically and both, towards the photograph's center."""
    left, top, right, bottom = box
    across, down = max(1, round(fraction * (right - left))), max(1, round(fraction * (bottom - top)))
    across *= 1 if left + right < photograph.width else -1
    down *= 1 if top + bottom < photograph.height else -1
    return [
        _jpeg(photograph.crop((left + x, top + y, right + x, bottom + y)), _QUALITY)
        for x, y in ((across, 0), (0, down), (across, down))
    ]


def _jpeg(picture: "Image", quality: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()

"""Small training sets for tests, in the layout that `build_training_set` writes."""

import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from sklearn.datasets import load_digits, load_sample_images

from components.training_set.manifest import MANIFEST, ImageClass, SplitName, TrainingSet

LabeledImage = tuple[bytes, int]

_SCHEMA = pa.schema([("path", pa.string()), ("content", pa.binary()), ("label", pa.int32())])
# Widths and heights. A model of 32 x 32 shrinks and pads all images but the first.
SEVERAL_SIZES = ((32, 32), (48, 36), (20, 45), (90, 31))
# Class ids that are neither dense nor from 0, as in Caltech-256.
_FIRST_LABEL = 3


def digits(count: int, sizes: Sequence[tuple[int, int]] = ((32, 32),)) -> list[LabeledImage]:
    """Return scikit-learn's first digits as files of all formats, with class ids 3, 5, ..., 21.

    Args:
        count: Number of images.
        sizes: Widths and heights, which the images have in turn.
    """
    data = load_digits()
    return [
        (
            encode(Image.fromarray((255 - ink * (255 / 16)).astype("uint8")).resize(size)),
            _FIRST_LABEL + 2 * int(digit),
        )
        for ink, digit, size, encode in zip(
            data.images[:count], data.target[:count], cycle(sizes), cycle(_FORMATS), strict=False
        )
    ]


def photographs(count: int) -> list[LabeledImage]:
    """Return crops of scikit-learn's two photographs as JPEG files of different sizes; each photograph is a class."""
    images = load_sample_images().images
    parts = []
    for number in range(count):
        label = number % len(images)
        part = images[label][number * 7 :, number * 11 :]
        parts.append((_jpeg(Image.fromarray(part)), _FIRST_LABEL + 2 * label))
    return parts


def make_training_set(
    folder: Path, images: Mapping[SplitName, Sequence[LabeledImage]], files: int, name: str = ""
) -> TrainingSet:
    """Write a training set.

    Args:
        folder: Folder to write to.
        images: Contents and class ids by split.
        files: Number of Parquet files of each split.
        name: Id of the training set; a hash of its contents if empty.
    """
    paths: dict[SplitName, list[str]] = {split: [] for split in SplitName}
    digest = hashlib.sha256()
    for split, members in images.items():
        for number in range(min(files, len(members))):
            rows = members[number * len(members) // files : (number + 1) * len(members) // files]
            path = f"{split.value}/part-{number:05}.parquet"
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            records = [
                {"path": f"file:///{split.value}/{number}/{row}.jpg", "content": content, "label": label}
                for row, (content, label) in enumerate(rows)
            ]
            pq.write_table(pa.Table.from_pylist(records, _SCHEMA), folder / path)
            paths[split].append(path)
            for content, _ in rows:
                digest.update(content)
    labels = sorted({label for members in images.values() for _, label in members})
    made = TrainingSet(
        id=name or digest.hexdigest()[:16],
        uri=folder.as_uri(),
        classes=[ImageClass(index=index, label=label, name=f"class-{label}") for index, label in enumerate(labels)],
        counts={split: len(images.get(split, ())) for split in SplitName},
        files=paths,
        table_versions={},
        validation_fraction=0.1,
        test_fraction=0.1,
        split_seed=0,
        left_out={},
    )
    (folder / MANIFEST).write_text(made.model_dump_json())
    return made


def _file(image: Image.Image, format_name: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_name, **options)
    return buffer.getvalue()


def _jpeg(image: Image.Image) -> bytes:
    return _file(image.convert("RGB"), "JPEG", quality=95)


# All formats that ingest accepts. The number of formats and the number of sizes have no common divisor, so each format
# occurs in each size.
_FORMATS: tuple[Callable[[Image.Image], bytes], ...] = (
    _jpeg,
    lambda image: _file(image.convert("CMYK"), "JPEG", quality=95),
    lambda image: _file(image, "JPEG", quality=95),
    lambda image: _file(image.convert("RGBA"), "PNG"),
    lambda image: _file(Image.fromarray(np.asarray(image).astype(np.uint16) * 257), "PNG"),
    lambda image: _file(image, "GIF"),
    lambda image: _file(image.convert("RGB"), "BMP"),
    lambda image: _file(image.convert("RGB"), "WEBP", quality=95),
    lambda image: _file(image.convert("RGB"), "PNG"),
)

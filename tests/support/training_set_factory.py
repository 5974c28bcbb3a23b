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

from components.storage.uri import local_path
from components.training_set.manifest import (
    MANIFEST,
    MEMBERS,
    NO_MEMBER,
    SEGMENTS_FOLDER,
    ImageClass,
    Segment,
    SplitName,
    TrainingSet,
)

LabeledImage = tuple[bytes, int]

_SEGMENT_SCHEMA = pa.schema(
    [("segment", pa.string()), ("row", pa.int32()), ("content_sha256", pa.string()), ("content", pa.binary())]
)
_MEMBERS_SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("content_sha256", pa.string()),
        ("label", pa.int32()),
        ("label_source", pa.string()),
        ("split", pa.string()),
        ("segment", pa.string()),
        ("row", pa.int32()),
    ]
)
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
    folder: Path,
    images: Mapping[SplitName, Sequence[LabeledImage]],
    segments: int = 1,
    rows: int = 128,
    name: str = "",
    earlier: TrainingSet | None = None,
) -> TrainingSet:
    """Write a training set.

    Args:
        folder: Folder to write to. It also gets the segments.
        images: Contents and class ids by split. An image with the class id `NO_MEMBER` gets a row of a segment, but is
            no member.
        segments: Number of segments of each split. A split with fewer images gets one segment per image.
        rows: Number of rows in a row group. The last one of a segment can have fewer.
        name: Id of the training set; a hash of its contents if empty.
        earlier: Training set whose segments and members the new one also has; None starts from scratch.
    """
    segments_uri = (folder / SEGMENTS_FOLDER).as_uri() if earlier is None else earlier.segments_uri
    written = [] if earlier is None else list(earlier.segments)
    members = [] if earlier is None else _read_members(earlier)
    for split, contents in images.items():
        count = min(segments, len(contents))
        for number in range(count):
            part = contents[number * len(contents) // count : (number + 1) * len(contents) // count]
            segment = _write_segment(segments_uri, split, number, [content for content, _ in part], rows)
            written.append(segment)
            members += [
                {
                    "path": f"file:///{split.value}/{segment.name}/{row}.jpg",
                    "content_sha256": hashlib.sha256(content).hexdigest(),
                    "label": label,
                    "label_source": "folder",
                    "split": split.value,
                    "segment": segment.name,
                    "row": row,
                }
                for row, (content, label) in enumerate(part)
                if label != NO_MEMBER
            ]
    (folder / MEMBERS).mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(members, _MEMBERS_SCHEMA), folder / MEMBERS / "part-00000.parquet")
    labels = sorted({member["label"] for member in members})
    made = TrainingSet(
        id=name or hashlib.sha256(repr(members).encode()).hexdigest()[:16],
        uri=folder.as_uri(),
        segments_uri=segments_uri,
        classes=[ImageClass(index=index, label=label, name=f"class-{label}") for index, label in enumerate(labels)],
        counts={split: sum(member["split"] == split.value for member in members) for split in SplitName},
        segments=sorted(written, key=lambda segment: (segment.split, segment.name)),
        table_versions={},
        validation_fraction=0.1,
        test_fraction=0.1,
        split_seed=0,
        left_out={},
    )
    (folder / MANIFEST).write_text(made.model_dump_json())
    return made


def _write_segment(segments_uri: str, split: SplitName, number: int, contents: Sequence[bytes], rows: int) -> Segment:
    digest = hashlib.sha256(f"{split.value} {number}".encode())
    for content in contents:
        digest.update(content)
    name = digest.hexdigest()[:16]
    records = [
        {"segment": name, "row": row, "content_sha256": hashlib.sha256(content).hexdigest(), "content": content}
        for row, content in enumerate(contents)
    ]
    file = local_path(f"{segments_uri}/{name}.parquet")
    assert file is not None
    file.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(records, _SEGMENT_SCHEMA)
    pq.write_table(table, file, row_group_size=rows, compression="none")
    metadata = pq.read_metadata(file)
    row_groups = [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)]
    return Segment(name=name, split=split, row_groups=row_groups, bytes=file.stat().st_size)


def _read_members(training_set: TrainingSet) -> list[dict[str, Any]]:
    folder = local_path(training_set.uri)
    assert folder is not None
    members: list[dict[str, Any]] = pq.read_table(folder / MEMBERS).to_pylist()
    return members


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

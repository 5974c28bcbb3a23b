"""Files of segments: their rows and row groups, and what a merge keeps."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.build_training_set.segment_file import SegmentFolder
from components.build_training_set.segment_plan import ROW_GROUP, segment_name
from components.storage.files import Files
from components.training_set.manifest import Segment, SplitName

FEATURES = 3


@pytest.fixture
def folder(tmp_path: Path) -> SegmentFolder:
    return SegmentFolder(f"file://{tmp_path}/segments", f"file://{tmp_path}/features", Files())


def write(folder: SegmentFolder, contents: list[bytes]) -> Segment:
    hashes = [hashlib.sha256(content).hexdigest() for content in contents]
    table = pa.table({"content_sha256": hashes, "content": pa.array(contents, pa.binary())})
    return folder.write(SplitName.TRAIN, segment_name(SplitName.TRAIN, hashes), table.to_batches(50))


def parquet(folder: SegmentFolder, segment: Segment) -> pq.ParquetFile:
    return pq.ParquetFile(Path(folder.uri.removeprefix("file://")) / f"{segment.name}.parquet")


def cache_features(folder: SegmentFolder, key: str, segment: Segment, first: int) -> None:
    """Cache features that count the rows from a first one."""
    for number, rows in enumerate(segment.row_groups):
        start = first + sum(segment.row_groups[:number])
        buffer = io.BytesIO()
        np.save(buffer, np.arange(start, start + rows, dtype=np.float32)[:, None].repeat(FEATURES, axis=1))
        Files().write_bytes(f"{folder.features}/{key}/{segment.name}/{number:05}.npy", buffer.getvalue())


def cached(folder: SegmentFolder, key: str, segment: Segment) -> list[np.ndarray]:
    place = Path(folder.features.removeprefix("file://")) / key / segment.name
    return [np.load(file) for file in sorted(place.glob("*.npy"))]


@pytest.mark.parametrize(
    ("count", "size", "row_groups"),
    [(300, 100, [128, 128, 44]), (20, 2**20, [8, 8, 4]), (3, 9 * 2**20, [1, 1, 1])],
    ids=["small images", "large images", "images larger than a row group"],
)
def test_a_row_group_has_at_most_128_rows_and_8_mebibytes(
    folder: SegmentFolder, count: int, size: int, row_groups: list[int]
) -> None:
    contents = [number.to_bytes(2, "big").ljust(size, b"x") for number in range(count)]

    segment = write(folder, contents)

    file = parquet(folder, segment)
    rows = file.read().to_pylist()
    assert segment.row_groups == row_groups
    assert [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)] == row_groups
    assert [row["row"] for row in rows] == list(range(count))
    assert [row["content"] for row in rows] == contents
    assert {row["segment"] for row in rows} == {segment.name}
    assert file.schema_arrow.types == [pa.string(), pa.int32(), pa.string(), pa.binary()]
    assert file.metadata.row_group(0).column(3).compression == "UNCOMPRESSED"
    assert segment.bytes == Path(folder.uri.removeprefix("file://"), f"{segment.name}.parquet").stat().st_size


def test_images_that_are_not_those_of_the_name_are_not_written(folder: SegmentFolder) -> None:
    table = pa.table({"content_sha256": ["a"], "content": pa.array([b"a"], pa.binary())})

    with pytest.raises(RuntimeError, match=r"^segment .*: `images` lacks a content"):
        folder.write(SplitName.TRAIN, segment_name(SplitName.TRAIN, ["a", "b"]), table.to_batches())

    assert list(Path(folder.uri.removeprefix("file://")).iterdir()) == []


def test_a_merge_keeps_rows_in_order_and_features_that_are_complete(folder: SegmentFolder) -> None:
    contents = [[f"{part}-{number}".encode() for number in range(rows)] for part, rows in enumerate((5, 200, 30))]
    parts = [write(folder, each) for each in contents]
    starts = (0, 5, 205)
    for part, start in zip(parts, starts, strict=True):
        cache_features(folder, "complete", part, start)
        if start:
            cache_features(folder, "incomplete", part, start)

    merged = folder.merge(parts)

    assert merged.row_groups == [ROW_GROUP.images, 235 - ROW_GROUP.images]
    rows = parquet(folder, merged).read().to_pylist()
    assert [row["content"] for row in rows] == [content for each in contents for content in each]
    assert [row["row"] for row in rows] == list(range(235))
    features = cached(folder, "complete", merged)
    assert [array.shape for array in features] == [(rows, FEATURES) for rows in merged.row_groups]
    assert {array.dtype for array in features} == {np.dtype(np.float32)}
    assert np.concatenate(features)[:, 0].tolist() == list(range(235))
    assert cached(folder, "incomplete", merged) == []
    # Earlier training sets still read the parts.
    assert [parquet(folder, part).metadata.num_rows for part in parts] == [5, 200, 30]


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"no array"], ids=["empty", "cut off", "other content"])
def test_a_damaged_file_of_features_does_not_stop_a_merge(folder: SegmentFolder, content: bytes) -> None:
    parts = [write(folder, [name.encode()]) for name in ("a", "b")]
    for start, part in enumerate(parts):
        cache_features(folder, "damaged", part, start)
    Files().write_bytes(f"{folder.features}/damaged/{parts[1].name}/00000.npy", content)

    merged = folder.merge(parts)

    assert parquet(folder, merged).metadata.num_rows == 2
    assert cached(folder, "damaged", merged) == []

"""Images that are read from segments by row."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from components.evaluate_classifier.segment_rows import SegmentRow, read_contents
from components.storage.access import Access
from components.storage.uri import local_path
from components.training_set.manifest import SplitName, TrainingSet
from tests.support.training_set_factory import digits, make_training_set

IMAGES = digits(100)
ROWS = 16


@pytest.fixture
def training_set(tmp_path: Path) -> TrainingSet:
    return make_training_set(tmp_path / "set", {SplitName.TEST: IMAGES}, segments=2, rows=ROWS)


def files(training_set: TrainingSet) -> dict[str, str]:
    return {segment.name: training_set.segment_uri(segment.name) for segment in training_set.segments}


def members(training_set: TrainingSet) -> list[SegmentRow]:
    """Return the rows of all images, sorted."""
    folder = local_path(training_set.uri)
    assert folder is not None
    rows = pq.read_table(folder / "members.parquet").to_pylist()
    return sorted(SegmentRow(row["segment"], row["row"], row["content_sha256"]) for row in rows)


def test_each_row_is_read_with_its_image(training_set: TrainingSet) -> None:
    rows = members(training_set)[3::7]

    found = list(read_contents(rows, files(training_set), Access()))

    assert [digest for digest, _ in found] == [row.content_sha256 for row in rows]
    assert {content for _, content in found} <= {content for content, _ in IMAGES}
    assert len({row.segment for row in rows}) == 2


def test_only_row_groups_with_wanted_rows_are_read(training_set: TrainingSet) -> None:
    """The others are overwritten, so a reader of them would fail or return other bytes."""
    rows = [row for row in members(training_set) if row.row in (17, 20)]
    expected = dict(read_contents(rows, files(training_set), Access()))
    for location in files(training_set).values():
        path = local_path(location)
        assert path is not None
        metadata = pq.read_metadata(path)
        with path.open("r+b") as file:
            for group in set(range(metadata.num_row_groups)) - {1}:
                for number in range(metadata.num_columns):
                    column = metadata.row_group(group).column(number)
                    file.seek(min(column.data_page_offset, column.dictionary_page_offset or column.data_page_offset))
                    file.write(b"\xff" * column.total_compressed_size)

    assert dict(read_contents(rows, files(training_set), Access())) == expected
    with pytest.raises(OSError, match=r"."):
        list(read_contents(members(training_set)[:1], files(training_set), Access()))


def test_another_image_in_a_row_raises_error(training_set: TrainingSet) -> None:
    row = members(training_set)[5]

    with pytest.raises(ValueError, match="row 5 of a segment is not the image other"):
        list(read_contents([row._replace(content_sha256="other")], files(training_set), Access()))

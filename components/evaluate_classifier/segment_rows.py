"""Read images of segments from exactly the row groups that hold them. A row group has at most 8 MiB."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, groupby
from operator import attrgetter
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from components.storage.access import Access
from components.storage.stores import open_store

_READ_ROWS = 64


class SegmentRow(NamedTuple):
    """A row of a segment.

    Attributes:
        segment: Name of the segment.
        row: Number of the row, from 0.
        content_sha256: Hash of its image.
    """

    segment: str
    row: int
    content_sha256: str


def segment_rows(batches: Iterable[pa.RecordBatch]) -> Iterator[SegmentRow]:
    """Yield the rows of batches with the columns of `SegmentRow`."""
    for batch in batches:
        yield from map(SegmentRow, *(batch[name].to_pylist() for name in SegmentRow._fields))


def read_contents(
    rows: Iterable[SegmentRow], locations: Mapping[str, str], access: Access
) -> Iterator[tuple[str, bytes]]:
    """Read the images of some rows.

    Args:
        rows: The rows, sorted by segment and row.
        locations: URI of each segment's file, by name.
        access: Addresses and credentials of the stores.

    Yields:
        The content hash and the image file of each row, in the order of the rows.

    Raises:
        ValueError: A segment has another image in a row.
    """
    for name, wanted in groupby(rows, attrgetter("segment")):
        location = locations[name]
        with open_store(location, access).open_ranges(location) as source:
            yield from _read(pq.ParquetFile(source, pre_buffer=True), list(wanted))


def _read(segment: pq.ParquetFile, wanted: Sequence[SegmentRow]) -> Iterator[tuple[str, bytes]]:
    metadata = segment.metadata
    starts = list(
        accumulate((metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)), initial=0)
    )
    for group, rows in groupby(wanted, lambda each: bisect_right(starts, each.row) - 1):
        hashes = {each.row: each.content_sha256 for each in rows}
        first = starts[group]
        # In small batches, so that a row group is not in memory twice.
        for batch in segment.iter_batches(_READ_ROWS, [group], ["content_sha256", "content"]):
            for offset in range(batch.num_rows):
                if (content_sha256 := hashes.get(first + offset)) is None:
                    continue
                if batch["content_sha256"][offset].as_py() != content_sha256:
                    # A prediction would be stored under the hash of another image, for ever.
                    raise ValueError(f"row {first + offset} of a segment is not the image {content_sha256}")
                yield content_sha256, batch["content"][offset].as_py()
            first += batch.num_rows

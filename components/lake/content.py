"""Read the content of images from exactly the row groups that hold them.

A row group of `images` has about 512 KiB. Python workers read the rows that are wanted with pyarrow: Spark would read
whole files for a join, and every row group for a long IN list.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, StructField, StructType

from components.lake.lake import Lake
from components.lake.snapshot import newest_snapshot
from components.lake.tables import IMAGES
from components.spark.balanced_tasks import balanced_tasks
from components.spark.memory_budget import Budget
from components.spark.session import PYTHON_BATCH_ROWS
from components.storage import uri
from components.storage.access import Access
from components.storage.stores import open_store

ArrowFunction = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]

# Columns that identify a row of `images`. A content may come back under its path, but not in the same ingest.
_KEY = ("path", "content_sha256", "ingested_at")
_CONTENT = "content"
_FILE = "_file"
# About 128 MiB of photographs. A task that fails is repeated as a whole.
_ROWS_PER_TASK = 2000
# Delta stores the times of a file's statistics in whole milliseconds, rounded down.
_STATISTICS_PRECISION = "INTERVAL 1 MILLISECOND"


def read_content(lake: Lake, wanted: DataFrame, partitions: int = 0) -> DataFrame:
    """Add the content to images.

    The driver holds the days of the images and their number, not the images.

    Args:
        lake: The lake.
        wanted: Frame of path, content_sha256, load_date and ingested_at, as in `files`, and any other columns. A path
            occurs at most once in an ingest. The frame is evaluated three times: persist it unless it is cheap.
        partitions: Number of partitions of the result; 0 chooses it by the number of images.

    Returns:
        The frame with `content`, in partitions of neighboring images. Images that `images` does not hold are left out.
    """
    columns = StructType([*wanted.schema, StructField(_CONTENT, BinaryType())])
    return map_content(lake, wanted, _pass_on, columns, partitions)


def map_content(
    lake: Lake, wanted: DataFrame, function: ArrowFunction, columns: StructType | str, partitions: int = 0
) -> DataFrame:
    """Apply a function to images with their content, within the worker that reads it.

    The content does not cross the border between Python and the JVM.

    Args:
        lake: The lake.
        wanted: Frame as for `read_content`.
        function: Maps batches of the frame's columns and `content` to batches of `columns`. A batch holds about as many
            bytes as a task's budget allows.
        columns: Schema of the function's result.
        partitions: Number of partitions of the result; 0 chooses it by the number of images.
    """
    days: Mapping[date, int] = dict(wanted.groupBy("load_date").count().collect())
    total = sum(days.values())
    tasks = partitions or max(balanced_tasks(lake.spark), total // _ROWS_PER_TASK)
    read = _Reader(lake.path(IMAGES), lake.files.access, Budget.of(lake.spark).batch_bytes)

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return function(read(batches))

    return (
        wanted.join(F.broadcast(_data_files(lake, days)), _may_hold(), "inner")
        .select(*wanted.columns, _FILE)
        # Ranges of neighbors, so that few tasks read the same row group.
        .repartitionByRange(max(1, min(tasks, total)), _FILE, "path")
        .sortWithinPartitions(_FILE, "path")
        .mapInArrow(run, columns)
    )


def _pass_on(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    return batches


def _data_files(lake: Lake, days: Iterable[date]) -> DataFrame:
    """Return the data files of some days, with the ranges of their paths and times of ingest, or null if unknown."""
    files = DataFrame(newest_snapshot(lake.spark, lake.path(IMAGES)).allFiles().toDF(), lake.spark)
    ranges = "STRUCT<path: STRING, ingested_at: TIMESTAMP>"
    day = F.col("partitionValues")["load_date"]
    statistics = F.from_json("stats", f"minValues {ranges}, maxValues {ranges}")
    return files.where(day.isin([each.isoformat() for each in days])).select(
        F.col("path").alias(_FILE), day.cast("date").alias("_day"), statistics.alias("_statistics")
    )


def _may_hold() -> Column:
    """Return the condition that a data file may hold an image."""
    first, last = F.col("_statistics.minValues"), F.col("_statistics.maxValues")
    path = (first["path"] <= F.col("path")) & (F.col("path") <= last["path"])
    time = F.col("ingested_at")
    ingested = (first["ingested_at"] <= time) & (time <= last["ingested_at"] + F.expr(_STATISTICS_PRECISION))
    # A file without statistics may hold any image.
    return (F.col("load_date") == F.col("_day")) & F.coalesce(path, F.lit(True)) & F.coalesce(ingested, F.lit(True))


@dataclass(frozen=True)
class _Reader:
    """Reader of rows of `images` in a worker.

    Attributes:
        table: URI of the table.
        access: Addresses and credentials of the stores.
        batch_bytes: Bytes after which a batch ends.
    """

    table: str
    access: Access
    batch_bytes: int

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Add the content to batches of images that are sorted by data file and path."""
        for name, wanted in _by_file(batches):
            yield from self._read(uri.join(self.table, unquote(name)), wanted)

    def _read(self, data_file: str, wanted: pa.Table) -> Iterator[pa.RecordBatch]:
        rows: list[int] = []
        contents: list[pa.Array] = []
        total = 0
        for row, content in self._find(data_file, wanted):
            size = content.nbytes
            if rows and (len(rows) == PYTHON_BATCH_ROWS or total + size > self.batch_bytes):
                yield _batch(wanted, rows, contents)
                rows, contents, total = [], [], 0
            rows.append(row)
            contents.append(content)
            total += size
        if rows:
            yield _batch(wanted, rows, contents)

    def _find(self, data_file: str, wanted: pa.Table) -> Iterator[tuple[int, pa.Array]]:
        """Yield the numbers of the wanted rows that a data file holds, each with its content as an array of one."""
        rows = {key: row for row, key in enumerate(_keys(wanted))}
        with open_store(data_file, self.access).open_ranges(data_file) as source:
            # Spark writes times as INT96, which are nanoseconds by default.
            parquet = pq.ParquetFile(source, pre_buffer=True, coerce_int96_timestamp_unit="us")
            groups = list(groups_of(parquet.metadata, wanted["path"].to_pylist()))
            # The keys first: after OPTIMIZE, the ranges of row groups overlap.
            keys = iter(_keys(parquet.read_row_groups(groups, list(_KEY)))) if groups else iter(())
            for group in groups:
                found = [rows.get(next(keys)) for _ in range(parquet.metadata.row_group(group).num_rows)]
                if any(row is not None for row in found):
                    yield from _contents(parquet, group, found)


def _contents(parquet: pq.ParquetFile, group: int, found: Sequence[int | None]) -> Iterator[tuple[int, pa.Array]]:
    start = 0
    # In small batches, since a row group of other software may have gigabytes.
    for batch in parquet.iter_batches(PYTHON_BATCH_ROWS, [group], [_CONTENT]):
        for offset in range(batch.num_rows):
            row = found[start + offset]
            if row is not None:
                yield row, batch[_CONTENT].slice(offset, 1)
        start += batch.num_rows


def _by_file(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[str, pa.Table]]:
    """Yield data files and their wanted rows, which are sorted by data file."""
    current = ""
    pending: list[pa.RecordBatch] = []
    for batch in batches:
        start = 0
        for name, run in groupby(batch[_FILE].to_pylist()):
            if pending and name != current:
                yield current, pa.Table.from_batches(pending).drop_columns([_FILE])
                pending = []
            length = len(list(run))
            current = name
            pending.append(batch.slice(start, length))
            start += length
    if pending:
        yield current, pa.Table.from_batches(pending).drop_columns([_FILE])


def _keys(rows: pa.Table) -> Iterator[tuple[str, str | None, int | None]]:
    """Yield the key of each row, with the time in microseconds since 1970."""
    path, content_sha256, ingested_at = (rows[name] for name in _KEY)
    times = ingested_at.cast(pa.int64())
    return zip(path.to_pylist(), content_sha256.to_pylist(), times.to_pylist(), strict=True)


def groups_of(metadata: pq.FileMetaData, paths: Sequence[str]) -> Iterator[int]:
    """Yield the numbers of the row groups that may hold one of some sorted paths.

    Args:
        metadata: Metadata of a data file of `images`.
        paths: The paths.
    """
    column = metadata.schema.names.index("path")
    for group in range(metadata.num_row_groups):
        statistics = metadata.row_group(group).column(column).statistics
        if statistics is None or not statistics.has_min_max:
            yield group
            continue
        first = bisect_left(paths, statistics.min)
        if first < len(paths) and paths[first] <= statistics.max:
            yield group


def _batch(wanted: pa.Table, rows: Sequence[int], contents: Sequence[pa.Array]) -> pa.RecordBatch:
    taken = wanted.take(pa.array(rows, pa.int64())).append_column(_CONTENT, pa.concat_arrays(contents))
    (batch,) = taken.combine_chunks().to_batches()
    return batch

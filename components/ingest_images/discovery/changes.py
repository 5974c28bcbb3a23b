"""Compare discovered files with the table `files`."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from components.ingest_images.discovery.listing import ListedFile
from components.lake import Lake
from components.lake.tables import FILES

SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("length", pa.int64()),
        ("modificationTime", pa.timestamp("us", "UTC")),
        ("etag", pa.string()),
    ]
)


def to_table(files: Iterable[ListedFile], source_path: str) -> pa.Table:
    """Return files as a table.

    Args:
        files: The files.
        source_path: The landing folder, as column `path` of the lake spells it, with a slash at its end.
    """
    rows = list(files)
    microseconds = pa.array([row.modified * 1_000_000 for row in rows], pa.int64())
    return pa.table(
        {
            "path": pa.array([source_path + row.name for row in rows], pa.string()),
            "length": pa.array([row.length for row in rows], pa.int64()),
            "modificationTime": microseconds.cast(SCHEMA.field("modificationTime").type),
            "etag": pa.array([row.etag or None for row in rows], pa.string()),
        },
        SCHEMA,
    )


def is_unchanged(found: str, existing: str) -> Column:
    """Return the condition that a file is as the table `files` has it.

    A row without length or time, e.g. of a file that could not be read, counts as changed. An etag counts only if both
    sides have one: a migrated lake has none.

    Args:
        found: Alias of the discovered files.
        existing: Alias of the rows of `files`.
    """

    def both(column: str) -> tuple[Column, Column]:
        return F.col(f"{found}.{column}"), F.col(f"{existing}.{column}")

    length, existing_length = both("length")
    modified, existing_modified = both("modificationTime")
    etag, existing_etag = both("etag")
    return (
        (length == existing_length)
        & (F.date_trunc("second", modified) == F.date_trunc("second", existing_modified))
        & F.coalesce(etag == existing_etag, F.lit(True))
    )


def is_unchanged_row(file: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Return whether a file is as a row of `files` has it, by the rule of `is_unchanged`.

    Args:
        file: Length, modificationTime and etag of a file.
        row: The same of the row.
    """
    if None in (row["length"], row["modificationTime"], file["length"], file["modificationTime"]):
        return False
    seconds = [each["modificationTime"].replace(microsecond=0) for each in (file, row)]
    etags = {each["etag"] for each in (file, row)} - {None}
    return bool(file["length"] == row["length"] and seconds[0] == seconds[1] and len(etags) < 2)


def existing_rows(lake: Lake, paths: pa.ChunkedArray) -> DataFrame:
    """Return the rows of `files` between the smallest and the largest of the paths.

    Delta skips data files by literal ranges only, so a join on `path` would read the whole table.

    Args:
        lake: The lake.
        paths: Paths, at least one.
    """
    ends = pc.min_max(paths)
    return lake.read(FILES).where(F.col("path").between(ends["min"].as_py(), ends["max"].as_py()))


@dataclass(frozen=True)
class Changes:
    """New and changed files.

    Attributes:
        files: The files with the columns `SCHEMA`, sorted by path.
        absent_in: A version of the table `files` that has none of the paths; None if that is not known.
    """

    files: pa.Table
    absent_in: int | None = None


def find_changes(lake: Lake, files: pa.Table) -> Changes:
    """Return the files that the table `files` does not have, or has otherwise.

    Args:
        lake: The lake.
        files: Files with the columns `SCHEMA`, at most some 100,000.
    """
    if not files.num_rows:
        return Changes(files)
    version = lake.version(FILES)
    found = lake.spark.createDataFrame(files).alias("found")
    existing = existing_rows(lake, files["path"]).alias("existing")
    is_new = F.col("existing.path").isNull()
    changed = (
        found.join(existing, F.col("found.path") == F.col("existing.path"), "left")
        .where(is_new | ~F.coalesce(is_unchanged("found", "existing"), F.lit(False)))
        .select("found.*", is_new.alias("is_new"))
        .toArrow()
    )
    # Another source may have committed during the query, which then read a later version.
    is_absent = pc.all(changed["is_new"]).as_py() and lake.version(FILES) == version
    return Changes(changed.select(SCHEMA.names).cast(SCHEMA).sort_by("path"), version if is_absent else None)


def split(files: pa.Table, maximum_files: int, maximum_bytes: int) -> Iterator[pa.Table]:
    """Split a table into slices of bounded size. A larger file is a slice of its own.

    Args:
        files: Files with the columns `SCHEMA`.
        maximum_files: Maximum number of files of a slice.
        maximum_bytes: Maximum total length of a slice's files.
    """
    start = 0
    total = 0
    for index, length in enumerate(files["length"].to_pylist()):
        if index > start and (index - start == maximum_files or total + length > maximum_bytes):
            yield files.slice(start, index - start)
            start, total = index, 0
        total += length
    if start < files.num_rows:
        yield files.slice(start)

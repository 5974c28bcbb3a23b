"""Rows that tests put into a lake's tables without Spark: a commit takes milliseconds, a MERGE takes a second."""

import hashlib
import io
import json
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql.pandas.types import to_arrow_schema

from components.lake import Lake, Table
from components.lake.tables import FILES, IMAGE, IMAGES
from components.storage import uri

INGESTED_AT = datetime(2026, 5, 1, 12, tzinfo=UTC)
SOURCE = "file:/landing"
# As many as ingest puts into a row group of photographs.
ROWS_PER_GROUP = 8
# Columns with statistics: keys, and times by which steps find what is new. Delta skips a file only if the file has
# statistics of each column in the condition.
_BOUNDED = ("path", "content_sha256", "ingested_at", "scored_at")


def append_rows(lake: Lake, table: Table, rows: Sequence[tuple[Any, ...]], row_group_rows: int = 1_000_000) -> None:
    """Append rows to a table in one commit, as one file for each partition. Nobody else may write meanwhile.

    Args:
        lake: The lake of the table.
        table: The table.
        rows: Values in the order of the table's columns, with keys that the table does not have.
        row_group_rows: Rows in a row group.
    """
    schema = arrow_schema(table)

    def partition(row: tuple[Any, ...]) -> str:
        return str(row[schema.names.index(table.partition)]) if table.partition else ""

    def files() -> Iterator[pa.Table]:
        for _, group in groupby(sorted(rows, key=partition), partition):
            yield pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in group], schema=schema)

    append_files(lake, table, files(), row_group_rows)


def append_files(lake: Lake, table: Table, files: Iterable[pa.Table], row_group_rows: int = 1_000_000) -> None:
    """Append data files to a table in one commit. Nobody else may write meanwhile.

    Args:
        lake: The lake of the table.
        table: The table.
        files: The rows of each file, in `arrow_schema` of the table, of one partition. They are written one by one.
        row_group_rows: Rows in a row group.
    """
    now = int(time.time() * 1000)
    actions: list[dict[str, Any]] = [
        {"commitInfo": {"timestamp": now, "operation": "WRITE", "operationParameters": {"mode": "Append"}}}
    ]
    actions += [{"add": _write_file(lake, table, rows, now, row_group_rows)} for rows in files]
    _commit(lake, table, actions)


def arrow_schema(table: Table) -> pa.Schema:
    """Return the schema of a table in Arrow's types."""
    return to_arrow_schema(table.schema, timezone="UTC")


def append_images(
    lake: Lake,
    images: Sequence[tuple[str, bytes, int | None]],
    ingested_at: datetime = INGESTED_AT,
    source: str = SOURCE,
    row_group_rows: int = ROWS_PER_GROUP,
) -> None:
    """Append images to `images` and `files`, as ingest does.

    Args:
        lake: Its lake.
        images: Path, content, and the class id of the folder or None. The lake's `files` has none of the paths.
        ingested_at: Time of the ingest, which is also the time of the files.
        source: Landing folder of the files.
        row_group_rows: Rows in a row group of `images`.
    """
    day, batch = ingested_at.date(), uuid.uuid4().hex
    stored, current = [], []
    for path, content, label in sorted(images, key=lambda image: image[0]):
        digest, length = hashlib.sha256(content).hexdigest(), len(content)
        stored.append((path, digest, content, digest, length, ingested_at, "jpeg", None, batch, day, ingested_at))
        current.append((path, source, length, ingested_at, None, digest, digest, IMAGE, None, label, day, ingested_at))
    append_rows(lake, IMAGES, stored, row_group_rows)
    append_rows(lake, FILES, current)


def replace_image(lake: Lake, path: str, content: bytes, folder_label: int | None = None) -> None:
    """Let a path have another content from now on, as ingest does when a file was replaced.

    Args:
        lake: Its lake.
        path: A path of `files`.
        content: The new content.
        folder_label: Class id of the folder.
    """
    lake.delta(FILES).delete(f"path = '{path}'")
    append_images(lake, [(path, content, folder_label)], datetime.now(UTC))


def _write_file(lake: Lake, table: Table, rows: pa.Table, now: int, row_group_rows: int) -> dict[str, Any]:
    """Write a data file, and return Delta's action that adds it."""
    name, partition_values = f"{uuid.uuid4()}.parquet", {}
    if table.partition:
        (value,) = rows[table.partition].unique().to_pylist()
        partition_values = {table.partition: str(value)}
        rows = rows.drop_columns([table.partition])
        name = f"{table.partition}={quote(str(value))}/{name}"
    buffer = io.BytesIO()
    # As ingest writes content.
    compression = "none" if table is IMAGES else "snappy"
    pq.write_table(rows, buffer, row_group_size=row_group_rows, compression=compression)
    lake.files.write_bytes(uri.join(lake.path(table), name), buffer.getvalue())
    return {
        # Delta decodes it.
        "path": quote(name, safe="/="),
        "partitionValues": partition_values,
        "size": buffer.tell(),
        "modificationTime": now,
        "dataChange": True,
        "stats": json.dumps(_statistics(rows)),
    }


def _statistics(rows: pa.Table) -> dict[str, Any]:
    """Return the statistics by which Delta skips a file."""
    bounds = {name: pc.min_max(rows[name]).as_py() for name in _BOUNDED if name in rows.column_names}
    # Columns without a value have no bounds.
    bounds = {name: found for name, found in bounds.items() if found["min"] is not None}
    return {
        "numRecords": rows.num_rows,
        "minValues": {name: _as_json(found["min"]) for name, found in bounds.items()},
        "maxValues": {name: _as_json(found["max"]) for name, found in bounds.items()},
        "nullCount": {name: rows[name].null_count for name in rows.column_names},
    }


def _as_json(value: str | datetime) -> str:
    # Delta cuts times to milliseconds, and widens the range by one when it reads them.
    return (
        value.strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03}Z"
        if isinstance(value, datetime)
        else value
    )


def _commit(lake: Lake, table: Table, actions: Sequence[dict[str, Any]]) -> None:
    log = uri.join(lake.path(table), "_delta_log")
    version = 1 + max(
        int(each[:20]) for each in lake.files.list_names(log) if each.endswith(".json") and each[:20].isdigit()
    )
    lake.files.write_text(uri.join(log, f"{version:020}.json"), "\n".join(map(json.dumps, actions)))

"""Reads a lake without Spark and without Delta's library, by the log's own words: what a third party would see."""

import io
import json
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from components.lake import Table
from components.storage import files, uri


def log_versions(root: str, table: Table) -> list[int]:
    """Return the numbers of a table's commits."""
    names = files.list_names(uri.join(root, table.name, "_delta_log"))
    return [int(name[:20]) for name in names if name.endswith(".json") and name[:20].isdigit()]


def read_table(root: str, table: Table) -> list[dict[str, Any]]:
    """Return a table's rows, without the images' bytes."""
    folder = uri.join(root, table.name)
    versions = log_versions(root, table)
    # A commit that was lost would leave a gap, or be one that another overwrote.
    assert versions == list(range(len(versions)))
    live: set[str] = set()
    for version in versions:
        for line in files.read_text(uri.join(folder, "_delta_log", f"{version:020}.json")).splitlines():
            action = json.loads(line)
            if "add" in action:
                live.add(unquote(action["add"]["path"]))
            elif "remove" in action:
                live.discard(unquote(action["remove"]["path"]))
    parts = [_read_narrow(uri.join(folder, name)) for name in sorted(live)]
    rows: list[dict[str, Any]] = pa.concat_tables(parts).to_pylist() if parts else []
    return rows


def _read_narrow(file: str) -> pa.Table:
    parquet = pq.ParquetFile(io.BytesIO(files.read_bytes(file)))
    return parquet.read([name for name in parquet.schema_arrow.names if name != "content"])

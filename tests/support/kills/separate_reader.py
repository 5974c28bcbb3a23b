"""A reader of the lake without Spark and Delta's library, by Delta's protocol, as a third party would read it."""

import io
import json
from typing import Any
from urllib.parse import unquote

import pyarrow.parquet as pq

from components.lake import Lake, Table
from components.storage import uri


def log_versions(lake: Lake, table: Table) -> list[int]:
    """Return the numbers of a table's commits."""
    names = lake.files.list_names(uri.join(lake.root, table.name, "_delta_log"))
    return [int(name[:20]) for name in names if name.endswith(".json") and name[:20].isdigit()]


def read_table(lake: Lake, table: Table) -> list[dict[str, Any]]:
    """Return a table's rows, without the images' bytes."""
    folder = lake.path(table)
    versions = log_versions(lake, table)
    # A commit that was lost would leave a gap, or be one that another overwrote.
    assert versions == list(range(len(versions)))
    live: set[str] = set()
    for version in versions:
        for line in lake.files.read_text(uri.join(folder, "_delta_log", f"{version:020}.json")).splitlines():
            action = json.loads(line)
            if "add" in action:
                live.add(unquote(action["add"]["path"]))
            elif "remove" in action:
                live.discard(unquote(action["remove"]["path"]))
    # By rows: Spark and other writers store times as different types.
    return [row for name in sorted(live) for row in _read_narrow(lake.files.read_bytes(uri.join(folder, name)))]


def _read_narrow(content: bytes) -> list[dict[str, Any]]:
    parquet = pq.ParquetFile(io.BytesIO(content))
    rows: list[dict[str, Any]] = parquet.read(
        [name for name in parquet.schema_arrow.names if name != "content"]
    ).to_pylist()
    return rows

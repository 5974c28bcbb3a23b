"""Tests of the copies of a batch: several are written at a time, up to the limit."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from components.export_for_labeling.copies import WRITERS, copy
from components.settings import Settings
from components.storage.access import Access
from components.storage.store_folder import StoreFolder


@dataclass(frozen=True)
class _Counting(StoreFolder):
    """A folder that blocks each write until `WRITERS` threads write, and records the threads."""

    together: threading.Barrier = field(default_factory=lambda: threading.Barrier(WRITERS))
    writers: set[int] = field(default_factory=set)

    def write(self, name: str, content: bytes, metadata: Mapping[str, str]) -> None:
        self.writers.add(threading.get_ident())
        self.together.wait(60)
        super().write(name, content, metadata)


def test_copies_are_written_up_to_the_limit_at_a_time(tmp_path: Path) -> None:
    folder = _Counting("destination", tmp_path.as_uri(), Access.of(Settings.load()))
    rows = [
        {
            "path": f"file:/{number}.jpg",
            "content_sha256": f"{number:064}",
            "content": b"",
            "shown": False,
            "metadata": {},
        }
        for number in range(3 * WRITERS)
    ]
    columns = {
        "path": pa.string(),
        "content_sha256": pa.string(),
        "content": pa.binary(),
        "shown": pa.bool_(),
        "metadata": pa.map_(pa.string(), pa.string()),
    }

    copied = list(copy(folder, "batch")(iter([pa.RecordBatch.from_pylist(rows, pa.schema(columns))])))

    assert sum(batch.num_rows for batch in copied) == len(list(tmp_path.rglob("*.jpg"))) == len(rows)
    assert len(folder.writers) == WRITERS

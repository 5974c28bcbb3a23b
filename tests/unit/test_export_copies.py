"""Copies are written several at a time, and no more than that."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from components.export_for_labeling.copies import WRITERS, copy
from components.export_for_labeling.destinations import Folder


@dataclass(frozen=True)
class _Counting(Folder):
    """A folder that holds each writer until all that may write at a time are there, and knows who wrote."""

    together: threading.Barrier = field(default_factory=lambda: threading.Barrier(WRITERS))
    writers: set[int] = field(default_factory=set)

    def write(self, name: str, content: bytes, about: Mapping[str, str]) -> None:
        self.writers.add(threading.get_ident())
        self.together.wait(60)
        super().write(name, content, about)


def test_as_many_copies_are_written_at_a_time_as_are_allowed_and_no_more(tmp_path: Path) -> None:
    folder = _Counting(tmp_path.as_uri())
    rows = [
        {"path": f"file:/{number}.jpg", "content_sha256": f"{number:064}", "content": b"", "shown": False, "about": {}}
        for number in range(3 * WRITERS)
    ]
    columns = {
        "path": pa.string(),
        "content_sha256": pa.string(),
        "content": pa.binary(),
        "shown": pa.bool_(),
        "about": pa.map_(pa.string(), pa.string()),
    }

    copied = list(copy(folder, "batch")(iter([pa.RecordBatch.from_pylist(rows, pa.schema(columns))])))

    assert sum(batch.num_rows for batch in copied) == len(list(tmp_path.rglob("*.jpg"))) == len(rows)
    assert len(folder.writers) == WRITERS

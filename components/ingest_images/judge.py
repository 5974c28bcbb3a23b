"""The verdict on each file of a batch, made once, where its bytes are."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from components.ingest_images.labels import LabelPattern
from components.ingest_images.limits import Limits
from components.workers.threads import limit_tensorflow_threads

JUDGED_COLUMNS = """path STRING, modificationTime TIMESTAMP, length BIGINT, content BINARY, content_sha256 STRING,
    label INT, class_name STRING, reason STRING"""
_VERDICT = pa.schema(
    [("content_sha256", pa.string()), ("label", pa.int32()), ("class_name", pa.string()), ("reason", pa.string())]
)


def judge(
    labels: LabelPattern | None, limits: Limits
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return the function for `mapInArrow` that adds hash, label and verdict to files.

    Args:
        labels: Reads the class from the folder; None for images without labels.
        limits: What an image may be at most.
    """

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        limit_tensorflow_threads()
        from components.images.verdict import verdict

        def row(path: str, content: bytes) -> dict[str, Any]:
            found = labels.read(path) if labels else None
            return {
                "content_sha256": hashlib.sha256(content).hexdigest(),
                "label": found[0] if found else None,
                "class_name": found[1] if found else None,
                "reason": verdict(content, limits.pixels),
            }

        for batch in batches:
            # One copy of one file at a time: they may be large.
            pairs = zip(batch["path"], batch["content"], strict=True)
            rows = [row(path.as_py(), content.as_py()) for path, content in pairs]
            added = pa.RecordBatch.from_pylist(rows, schema=_VERDICT)
            yield pa.RecordBatch.from_arrays(
                [*batch.columns, *added.columns], names=[*batch.schema.names, *added.schema.names]
            )

    return run

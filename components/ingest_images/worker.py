"""Read, hash, validate and convert files on Spark's workers.

A worker reads the files itself, with its own client of the store: so their content crosses the border between Python
and the JVM once, on its way into the table. Decoding happens in a child process of the worker, so no file can end the
worker, and with it the job.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa

from components.ingest_images.limits import Limits
from components.ingest_images.read_errors import read_error
from components.preprocessing.header import image_format
from components.preprocessing.image_validator import ImageValidator
from components.spark.memory_budget import decoding_bytes
from components.spark.tensorflow_threads import limit_tensorflow_threads
from components.storage.access import Access
from components.storage.stores import Store, open_store

# Reason of a file with the content that is already stored for its path. Its row keeps a batch countable.
UNCHANGED = "unchanged content"
# Reason of a file whose content someone had forgotten under this or another path.
FORGOTTEN_CONTENT = "forgotten content"

INPUT = pa.schema(
    [
        ("path", pa.string()),
        ("length", pa.int64()),
        ("modificationTime", pa.timestamp("us", tz="UTC")),
        ("stored_sha256", pa.string()),
    ]
)
OUTPUT_COLUMNS = """path STRING, content_sha256 STRING, content BINARY, source_sha256 STRING, length BIGINT,
    modificationTime TIMESTAMP, format STRING, reason STRING"""
_OUTPUT = pa.schema(
    [
        ("path", pa.string()),
        ("content_sha256", pa.string()),
        ("content", pa.binary()),
        ("source_sha256", pa.string()),
        ("length", pa.int64()),
        ("modificationTime", pa.timestamp("us", tz="UTC")),
        ("format", pa.string()),
        ("reason", pa.string()),
    ]
)

_THREADS = 4
# A thread reads several small files, since handing over a file costs as much as reading it.
_FILES_PER_READ = 16
_BYTES_PER_READ = 2**20


@dataclass(frozen=True)
class Work:
    """What workers need to ingest files.

    Attributes:
        access: Addresses and credentials of the stores.
        limits: Upper limits of a valid image.
        batch_bytes: Maximum bytes of the files in a batch for the JVM, unless a single file has more. As many bytes are
            read ahead.
        decoding_seconds: Time limit of decoding a file.
        forgotten: SHA-256 of files and of stored pictures that must not come back.
    """

    access: Access
    limits: Limits
    batch_bytes: int
    decoding_seconds: float = 60
    forgotten: frozenset[str] = frozenset()


def make_worker(
    ranges: Sequence[pa.Table], work: Work
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return a function for `mapInArrow` over the numbers of ranges, in the column `id`.

    It returns the columns `OUTPUT_COLUMNS`, a row for each file, in the order of the files.

    Args:
        ranges: Files with the schema `INPUT`.
        work: What the workers need.
    """
    # Arrow's own format is smaller and faster to unpickle than a table.
    serialized = [_serialize(files) for files in ranges]

    def ingest(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        limit_tensorflow_threads()
        for batch in batches:
            for number in batch["id"].to_pylist():
                yield from ingest_files(pa.ipc.open_stream(serialized[number]).read_all(), work)

    return ingest


def ingest_files(files: pa.Table, work: Work) -> Iterator[pa.RecordBatch]:
    """Read, hash and validate files.

    Args:
        files: Files with the schema `INPUT`.
        work: What the worker needs.

    Yields:
        Rows of the columns `OUTPUT_COLUMNS`, in the order of the files.
    """
    rows: list[dict[str, Any]] = []
    total = 0
    validator = _validator(work.limits.pixels, work.decoding_seconds)
    # Forked before the threads of this process start.
    validator.start()
    for file in _read_ahead(files, work):
        row = _row(file, validator, work)
        length = len(row["content"] or b"")
        if rows and total + length > work.batch_bytes:
            yield pa.RecordBatch.from_pylist(rows, schema=_OUTPUT)
            rows, total = [], 0
        rows.append(row)
        total += length
    if rows:
        yield pa.RecordBatch.from_pylist(rows, schema=_OUTPUT)


# A worker serves many tasks, and TensorFlow's start in the child takes longer than a small task.
@lru_cache(maxsize=1)
def _validator(maximum_pixels: int, seconds: float) -> ImageValidator:
    return ImageValidator(maximum_pixels, decoding_bytes(maximum_pixels), seconds)


@dataclass(frozen=True)
class ReadFile:
    """A file that was read, or the reason why it was not.

    Attributes:
        planned: Its row of `INPUT`.
        content: Content; empty if it was not read.
        sha256: SHA-256 of the content; None if it was not read.
        reason: Why it was not read; None if it was.
    """

    planned: dict[str, Any]
    content: bytes = b""
    sha256: str | None = None
    reason: str | None = None


def _row(file: ReadFile, validator: ImageValidator, work: Work) -> dict[str, Any]:
    reason = file.reason
    if reason is None and file.sha256 == file.planned["stored_sha256"]:
        reason = UNCHANGED
    if reason is None and file.sha256 in work.forgotten:
        reason = FORGOTTEN_CONTENT
    picture: bytes | None = None
    if reason is None:
        reason, picture = validator.picture(file.content)
    if picture is not None and len(picture) > work.limits.bytes:
        reason, picture = f"more than {work.limits.bytes} bytes after conversion", None
    content_sha256 = None if picture is None else _sha256(picture, file)
    if content_sha256 in work.forgotten:
        reason, picture, content_sha256 = FORGOTTEN_CONTENT, None, None
    is_read = file.sha256 is not None
    return {
        "path": file.planned["path"],
        "content_sha256": content_sha256,
        "content": picture,
        "source_sha256": file.sha256,
        "length": len(file.content) if is_read else file.planned["length"],
        "modificationTime": file.planned["modificationTime"],
        "format": image_format(file.content) if is_read else None,
        "reason": reason,
    }


def _sha256(picture: bytes, file: ReadFile) -> str | None:
    return file.sha256 if picture is file.content else hashlib.sha256(picture).hexdigest()


def _read_ahead(files: pa.Table, work: Work) -> Iterator[ReadFile]:
    """Read files in threads, as many bytes ahead as a batch has, and yield them in their order."""
    groups = deque(_groups(files.to_pylist()))
    pending: deque[tuple[int, Future[list[ReadFile]]]] = deque()
    ahead = 0
    with ThreadPoolExecutor(_THREADS) as threads:
        try:
            while groups or pending:
                while groups and (not pending or (ahead < work.batch_bytes and len(pending) < 2 * _THREADS)):
                    group = groups.popleft()
                    length = sum(file["length"] for file in group)
                    ahead += length
                    pending.append((length, threads.submit(_read, group, work)))
                length, future = pending.popleft()
                yield from future.result()
                ahead -= length
        finally:
            for _, future in pending:
                future.cancel()


def _groups(planned: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    total = 0
    for file in planned:
        if group and (total + file["length"] > _BYTES_PER_READ or len(group) == _FILES_PER_READ):
            yield group
            group, total = [], 0
        group.append(file)
        total += file["length"]
    if group:
        yield group


def _read(group: Sequence[dict[str, Any]], work: Work) -> list[ReadFile]:
    # All files of a source are in one store.
    store = open_store(group[0]["path"], work.access)
    return [read_file(file, store, work.limits) for file in group]


def read_file(planned: dict[str, Any], store: Store, limits: Limits) -> ReadFile:
    """Read and hash a file.

    Args:
        planned: Its row of `INPUT`.
        store: Store of the file.
        limits: Upper limits of a valid image. A longer file is not read.

    Raises:
        TransientError: The store does not answer.
    """
    too_long = f"more than {limits.bytes} bytes"
    if planned["length"] > limits.bytes:
        return ReadFile(planned, reason=too_long)
    try:
        content = store.read(planned["path"])
    except Exception as error:
        reason = read_error(error, planned["path"])
        if reason is None:
            raise
        return ReadFile(planned, reason=reason)
    # The file may have grown since it was listed.
    reason = too_long if len(content) > limits.bytes else None
    return ReadFile(planned, content, hashlib.sha256(content).hexdigest(), reason)


def _serialize(files: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, files.schema) as writer:
        writer.write_table(files)
    return bytes(sink.getvalue())

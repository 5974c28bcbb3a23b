"""The limit of ingest: plain processes, one per core.

They read, hash and decode the files and write Parquet.
"""

import hashlib
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from components.ingest_images.limits import Limits
from components.spark.tensorflow_threads import limit_tensorflow_threads

_ROWS = 64


@contextmanager
def plain_processes() -> Iterator[ProcessPoolExecutor]:
    """Start a process per core, each with one TensorFlow thread, and yield the pool."""
    spawn = multiprocessing.get_context("spawn")
    cores = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(cores, mp_context=spawn, initializer=limit_tensorflow_threads) as pool:
        yield pool


def ingest_with_processes(pool: ProcessPoolExecutor, landing: Path) -> int:
    """Ingest a folder into Parquet files in a sibling folder, and count the images.

    Args:
        pool: Pool with a process per core.
        landing: Folder of the files.
    """
    cores = len(os.sched_getaffinity(0))
    target = landing.with_name(f"plain-of-{landing.name}")
    target.mkdir()
    paths = sorted(landing.iterdir())
    slices = [paths[start::cores] for start in range(cores)]
    return sum(pool.map(_ingest_files, slices, [target / f"{number}.parquet" for number in range(cores)]))


def _ingest_files(paths: Sequence[Path], target: Path) -> int:
    from components.preprocessing.validation import validation_error

    schema = pa.schema([("path", pa.string()), ("content", pa.binary()), ("content_sha256", pa.string())])
    limits = Limits()
    count = 0
    with pq.ParquetWriter(target, schema) as writer:
        for start in range(0, len(paths), _ROWS):
            rows = []
            for path in paths[start : start + _ROWS]:
                content = path.read_bytes()
                if validation_error(content, limits.pixels) is None:
                    row = {"path": str(path), "content": content, "content_sha256": hashlib.sha256(content).hexdigest()}
                    rows.append(row)
            writer.write_table(pa.Table.from_pylist(rows, schema))
            count += len(rows)
    return count

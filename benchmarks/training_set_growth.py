"""Bytes that building a training set moves after 1 % more labels.

The images are random bytes, so they have no perceptual hashes.
"""

import hashlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.bench import Bench
from benchmarks.lakes import insert_classes
from benchmarks.results import OURS, Baseline, Direction, Goal, Row, make_row
from benchmarks.timing import Measurements, seconds
from components.build_training_set.build import BuildResult, build_training_set
from components.lake import Lake
from components.lake.tables import FILES, IMAGE, IMAGES, LABELS, Table
from tests.support.lake_rows import append_files, append_rows, arrow_schema
from tests.support.spark_io import SparkIO

_IMAGES = 100_000
_LABELED = _IMAGES // 10
_NEW = _LABELED // 100
_DAYS = 50
_BYTES = (30_000, 70_000)
# As ingest writes images of this size.
_ROWS_PER_GROUP = 10
_START = datetime(2026, 1, 1, 12, tzinfo=UTC)
_READ = Goal(direction=Direction.AT_MOST, value=0.03)
_WRITTEN = Goal(direction=Direction.AT_MOST, value=0.015)


def measure(bench: Bench) -> Iterable[Row]:
    """Compare the bytes and the seconds of a build after 1 % more labels with those of the first build."""
    lake = bench.lake("training-set-growth")
    insert_classes(lake)
    hashes = _fill(lake)
    # Labels of people, all over the lake. The first build also loads what Spark loads only once.
    numbers = np.random.default_rng(0).permutation(_IMAGES)[: _LABELED + _NEW].tolist()
    _label(lake, numbers[:_LABELED], hashes)
    first = _Build(lake, _LABELED)
    _label(lake, numbers[_LABELED:], hashes)
    second = _Build(lake, _NEW)
    size = f"{_IMAGES:,} images of {_BYTES[0] // 1000} to {_BYTES[1] // 1000} kB, {_LABELED:,} labels"
    for name, goal, costs in (
        ("read", _READ, [build.moved.read / 1e6 for build in (second, first)]),
        ("written", _WRITTEN, [build.moved.written / 1e6 for build in (second, first)]),
    ):
        yield make_row(
            Measurements({OURS: [costs[0]], Baseline.REFERENCE: [costs[1]]}), Baseline.REFERENCE,
            name=f"training set after 1 % more labels: bytes {name}", size=size, unit="MB", goal=goal,
            how="The values are the bytes of all read or write calls of the JVM and its Python workers, by /proc. Ours"
            " builds a training set after 1 % more labels, and the reference's column shows the first build, also ours."
            " The labels are of random images of the lake.",
            details={"seconds": f"{second.seconds:.1f}", "seconds of the first build": f"{first.seconds:.1f}"},
        )  # fmt: skip


class _Build:
    """A build of a training set, and its cost.

    Args:
        lake: The lake.
        new: Expected number of images whose content is written.

    Attributes:
        seconds: Duration in seconds.
        moved: Bytes that Spark's processes have moved.
    """

    def __init__(self, lake: Lake, new: int) -> None:
        results: list[BuildResult] = []
        before = SparkIO.now(lake.spark)
        self.seconds = seconds(lambda: results.append(build_training_set(lake)))
        self.moved = SparkIO.now(lake.spark) - before
        if results[0].added.images != new:
            raise RuntimeError(f"the build added {results[0].added.images} images instead of {new}")


def _path(number: int) -> str:
    return f"file:/landing/{number:06}.jpg"


def _fill(lake: Lake) -> list[str]:
    """Write a day's file of images after the other, and return the content hashes by number."""
    hashes: list[str] = []
    files: list[pa.Table] = []

    def days() -> Iterator[pa.Table]:
        random = np.random.default_rng(1)
        for day in range(_DAYS):
            numbers = range(day * _IMAGES // _DAYS, (day + 1) * _IMAGES // _DAYS)
            contents = [random.bytes(int(random.integers(*_BYTES))) for _ in numbers]
            digests = [hashlib.sha256(content).hexdigest() for content in contents]
            hashes.extend(digests)
            time = _START + timedelta(days=day)
            shared: dict[str, list[Any]] = {
                "path": [_path(number) for number in numbers],
                "content_sha256": digests,
                "source_sha256": digests,
                "length": [len(content) for content in contents],
                "modificationTime": [time] * len(numbers),
                "load_date": [time.date()] * len(numbers),
                "ingested_at": [time] * len(numbers),
            }
            files.append(_rows(FILES, shared | {"state": [IMAGE] * len(numbers)}))
            yield _rows(IMAGES, shared | {"content": contents, "batch": [str(day)] * len(numbers)})

    append_files(lake, IMAGES, days(), _ROWS_PER_GROUP)
    append_files(lake, FILES, [pa.concat_tables(files)])
    return hashes


def _rows(table: Table, columns: dict[str, list[Any]]) -> pa.Table:
    """Return rows of a table. Missing columns are null."""
    schema = arrow_schema(table)
    count = len(columns["path"])
    return pa.table([pa.array(columns.get(field.name, [None] * count), field.type) for field in schema], schema=schema)


def _label(lake: Lake, numbers: list[int], hashes: list[str]) -> None:
    rows = [(_path(number), hashes[number], 1 + number % 2, "person", _START) for number in sorted(numbers)]
    append_rows(lake, LABELS, rows)

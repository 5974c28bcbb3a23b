"""Ingest: images/s from files to rows of the lake."""

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

from delta.tables import DeltaTable
from pyspark.sql import functions as F

from benchmarks.bench import Bench
from benchmarks.images import photographs, write
from benchmarks.plain_ingest import ingest_plainly, plain_processes
from benchmarks.process import REPOSITORY, AnsweringProcess
from benchmarks.results import OURS, Against, Direction, Goal, Row, make_row
from benchmarks.timing import Measured, interleave, seconds
from components.ingest_images.ingest import ingest_folder
from components.lake import Lake
from components.storage import uri

_DAFT_PYTHON = REPOSITORY / ".venv" / "daft" / "bin" / "python"
_DAFT = "daft"
_ROUNDS = 2
_WARM_UP = 64
_WRITTEN_AT_ONCE = 500


@dataclass(frozen=True)
class _Size:
    """A size of landing folders.

    Attributes:
        width: Width of the photographs in pixels.
        height: Their height in pixels.
        files: Their number.
        goals: The least ratio to each contender that has a goal at this size.
    """

    width: int
    height: int
    files: int
    goals: Mapping[str, float]


_SIZES = (
    _Size(640, 427, 1_000, {Against.REFERENCE: 1, _DAFT: 1}),
    _Size(640, 427, 10_000, {Against.LIMIT: 0.7, _DAFT: 1}),
    _Size(3000, 2000, 200, {Against.LIMIT: 0.7, _DAFT: 1}),
)
_BESIDE = {
    Against.LIMIT: "plain processes",
    Against.REFERENCE: "the reference's loader",
    _DAFT: "Daft",
}
_HOW = {
    Against.LIMIT: (
        "ingest_folder in a warm session, from a new folder to rows of `images` and `files`, beside reading, SHA-256,"
        " decoding and writing Parquet in one plain process for each core"
    ),
    Against.REFERENCE: (
        "the same, beside a stream of binaryFile appended to a Delta table, then OPTIMIZE, which decodes no image"
    ),
    _DAFT: "the same, beside a warm process of Daft that reads, decodes and hashes, and writes Parquet files",
}


def measure(bench: Bench) -> Iterable[Row]:
    """Measure images/s of a run of ingest over a folder that is new."""
    lake = bench.lake("ingest")
    command = [str(_DAFT_PYTHON), "-m", "benchmarks.daft_ingest"]
    daft = AnsweringProcess(command, bench.folder / "daft.log", os.environ | {"DAFT_PROGRESS_BAR": "0"})
    with plain_processes() as pool, ExitStack() as ended:
        ended.callback(daft.end)
        ways: dict[str, Callable[[Path], int]] = {
            OURS: partial(_ingest, lake),
            Against.REFERENCE: partial(_load, lake),
            Against.LIMIT: partial(ingest_plainly, pool),
            _DAFT: lambda landing: int(daft.ask([str(landing), str(landing.with_name(f"daft-of-{landing.name}"))])),
        }
        # Workers start, and code is compiled.
        _measure(_Folder(bench.folder / "ingest-warm-up", _WARM_UP, 400, 300), ways, rounds=1)
        for size in _SIZES:
            folder = _Folder(bench.folder / f"ingest-{size.width}-{size.files}", size.files, size.width, size.height)
            measured = _measure(folder, ways, _ROUNDS)
            for contender, goal in size.goals.items():
                # Of the columns of a row, the one of the reference's way has any other way, too.
                column = Against.LIMIT if contender == Against.LIMIT else Against.REFERENCE
                yield make_row(
                    Measured({OURS: measured.values[OURS], column: measured.values[contender]}), column,
                    name=f"ingest, beside {_BESIDE[contender]}",
                    size=f"{size.files:,} files of {size.width} x {size.height}", unit="images/s",
                    goal=Goal(direction=Direction.AT_LEAST, value=goal), how=_HOW[contender],
                    beside={"bytes of the files": f"{folder.bytes / 1e6:.0f} MB"},
                )  # fmt: skip


class _Folder:
    """A landing folder that takes another name for each run, because what a folder has is ingested once.

    Attributes:
        bytes: Of all its files.

    Args:
        path: Its first name.
        files: Number of its files.
        width: Their width in pixels.
        height: Their height in pixels.
    """

    def __init__(self, path: Path, files: int, width: int, height: int) -> None:
        self.bytes = 0
        self._files = files
        self._path = path
        self._numbers = count()
        for first in range(0, files, _WRITTEN_AT_ONCE):
            images = photographs(min(_WRITTEN_AT_ONCE, files - first), width, height, first)
            self.bytes += sum(map(len, images))
            write(path, images, first)

    def rate(self, ingest: Callable[[Path], int]) -> Callable[[], float]:
        """Return the function that ingests all files under a new name and returns images/s."""

        def measure() -> float:
            self._path = self._path.rename(self._path.with_name(f"{self._path.name}-{next(self._numbers)}"))
            found = []
            taken = seconds(lambda: found.append(ingest(self._path)))
            if found != [self._files]:
                raise RuntimeError(f"{found} of {self._files} files were ingested")
            return self._files / taken

        return measure


def _measure(folder: _Folder, ways: Mapping[str, Callable[[Path], int]], rounds: int) -> Measured:
    return interleave({name: folder.rate(way) for name, way in ways.items()}, rounds)


def _ingest(lake: Lake, landing: Path) -> int:
    return ingest_folder(lake, uri.normalize(str(landing), "source"), labeled=False).ingested


def _load(lake: Lake, landing: Path) -> int:
    """Load a folder in the reference's way, and return how many rows there are."""
    table, checkpoint = (str(landing.with_name(f"{name}-of-{landing.name}")) for name in ("table", "checkpoint"))
    (
        lake.spark.readStream.format("binaryFile")
        .schema("path STRING, modificationTime TIMESTAMP, length BIGINT, content BINARY")
        .option("recursiveFileLookup", "true")
        .option("pathGlobFilter", "*.jpg")
        .load(str(landing))
        .withColumn("label", F.regexp_extract("path", "/([^/]{3})[^/]*/[^/]*$", 1).try_cast("int"))
        .withColumn("load_date", F.current_date())
        .writeStream.format("delta")
        .option("checkpointLocation", checkpoint)
        .option("mergeSchema", "true")
        .trigger(availableNow=True)
        .start(table)
        .awaitTermination()
    )
    loaded = DeltaTable.forPath(lake.spark, table)
    loaded.optimize().executeCompaction()
    return int(loaded.toDF().count())

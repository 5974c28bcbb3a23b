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
from benchmarks.images import photographs, write_images
from benchmarks.plain_ingest import ingest_with_processes, plain_processes
from benchmarks.process import REPOSITORY, MeasuringProcess
from benchmarks.results import OURS, Baseline, Direction, Goal, Row, make_row
from benchmarks.timing import Measurements, interleave, seconds
from components.ingest_images.ingest import ingest_folder
from components.lake import Lake
from components.storage import uri

_DAFT_PYTHON = REPOSITORY / ".venv" / "daft" / "bin" / "python"
_DAFT = "daft"
_ROUNDS = 2
_WARM_UP = 64
_FILES_PER_WRITE = 500


@dataclass(frozen=True)
class _Size:
    """A size of landing folder.

    Attributes:
        width: Width of the photographs in pixels.
        height: Height of the photographs in pixels.
        files: Number of photographs.
        goals: Minimum of the ratio, by baseline.
    """

    width: int
    height: int
    files: int
    goals: Mapping[str, float]


_SIZES = (
    _Size(640, 427, 1_000, {Baseline.REFERENCE: 1, _DAFT: 1}),
    _Size(640, 427, 10_000, {Baseline.LIMIT: 0.7, _DAFT: 1}),
    _Size(3000, 2000, 200, {Baseline.LIMIT: 0.7, _DAFT: 1}),
)
_NAMES = {
    Baseline.LIMIT: "plain processes",
    Baseline.REFERENCE: "the reference's loader",
    _DAFT: "Daft",
}
_OURS = "Ours is ingest_folder in a warm session, from a new folder to rows of `images` and `files`."
_HOW = {
    Baseline.LIMIT: (
        f"{_OURS} The limit reads the files, computes SHA-256, decodes the images and writes Parquet, in one plain"
        " process per core."
    ),
    Baseline.REFERENCE: (
        f"{_OURS} The reference appends a binaryFile stream to a Delta table, then runs OPTIMIZE. It decodes no images."
    ),
    _DAFT: (
        f"{_OURS} The reference's column shows a warm Daft process. It reads, decodes and hashes the files, and writes"
        " Parquet files."
    ),
}


def measure(bench: Bench) -> Iterable[Row]:
    """Measure the images/s of ingest from a new folder."""
    lake = bench.lake("ingest")
    command = [str(_DAFT_PYTHON), "-m", "benchmarks.daft_ingest"]
    daft = MeasuringProcess(command, bench.folder / "daft.log", os.environ | {"DAFT_PROGRESS_BAR": "0"})
    with plain_processes() as pool, ExitStack() as stack:
        stack.callback(daft.close)
        methods: dict[str, Callable[[Path], int]] = {
            OURS: partial(_ingest, lake),
            Baseline.REFERENCE: partial(_load_like_reference, lake),
            Baseline.LIMIT: partial(ingest_with_processes, pool),
            _DAFT: lambda landing: int(daft.call([str(landing), str(landing.with_name(f"daft-of-{landing.name}"))])),
        }
        # Start workers and compile code.
        _measure(_LandingFolder(bench.folder / "ingest-warm-up", _WARM_UP, 400, 300), methods, rounds=1)
        for size in _SIZES:
            folder = _LandingFolder(
                bench.folder / f"ingest-{size.width}-{size.files}", size.files, size.width, size.height
            )
            measured = _measure(folder, methods, _ROUNDS)
            for contender, goal in size.goals.items():
                # A row has no column for Daft, so Daft takes the reference's.
                column = Baseline.LIMIT if contender == Baseline.LIMIT else Baseline.REFERENCE
                yield make_row(
                    Measurements({OURS: measured.values[OURS], column: measured.values[contender]}), column,
                    name=f"ingest, compared with {_NAMES[contender]}",
                    size=f"{size.files:,} files of {size.width} x {size.height}", unit="images/s",
                    goal=Goal(direction=Direction.AT_LEAST, value=goal), how=_HOW[contender],
                    details={"bytes of the files": f"{folder.bytes / 1e6:.0f} MB"},
                )  # fmt: skip


class _LandingFolder:
    """A landing folder that is renamed before each run.

    Ingest skips files that it has seen under the same path.

    Attributes:
        bytes: Total size of the files in bytes.

    Args:
        path: Initial path.
        files: Number of photographs.
        width: Width of the photographs in pixels.
        height: Height of the photographs in pixels.
    """

    def __init__(self, path: Path, files: int, width: int, height: int) -> None:
        self.bytes = 0
        self._files = files
        self._path = path
        self._numbers = count()
        for first in range(0, files, _FILES_PER_WRITE):
            images = photographs(min(_FILES_PER_WRITE, files - first), width, height, first)
            self.bytes += sum(map(len, images))
            write_images(path, images, first)

    def contender(self, ingest: Callable[[Path], int]) -> Callable[[], float]:
        """Return a function that renames the folder, ingests it, and returns images/s."""

        def measure() -> float:
            self._path = self._path.rename(self._path.with_name(f"{self._path.name}-{next(self._numbers)}"))
            counts: list[int] = []
            duration = seconds(lambda: counts.append(ingest(self._path)))
            if counts != [self._files]:
                raise RuntimeError(f"{self._path}: {counts[0]} of {self._files} files were ingested")
            return self._files / duration

        return measure


def _measure(folder: _LandingFolder, methods: Mapping[str, Callable[[Path], int]], rounds: int) -> Measurements:
    return interleave({name: folder.contender(method) for name, method in methods.items()}, rounds)


def _ingest(lake: Lake, landing: Path) -> int:
    return ingest_folder(lake, uri.normalize(str(landing), "source"), labeled=False).ingested


def _load_like_reference(lake: Lake, landing: Path) -> int:
    """Load a folder like the reference system, and return the number of rows."""
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

"""Ingest: images/s from files to rows of the lake."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import count
from pathlib import Path

from delta.tables import DeltaTable
from pyspark.sql import functions as F

from benchmarks.bench import Bench
from benchmarks.images import photographs, write
from benchmarks.plain_ingest import ingest_plainly, plain_processes
from benchmarks.results import OURS, Against, Direction, Goal, Row, make_row
from benchmarks.timing import Measured, interleave, seconds
from components.ingest_images.ingest import ingest_folder
from components.lake import Lake
from components.storage import uri

# Width, height, and files.
_SIZES = ((640, 427, 10_000), (3000, 2000, 200))
_ROUNDS = 2
_WARM_UP = 64
_WRITTEN_AT_ONCE = 500


def measure(bench: Bench) -> Iterable[Row]:
    """Measure images/s of a run of ingest over a folder that is new."""
    lake = bench.lake("ingest")
    with plain_processes() as pool:
        ways = {
            OURS: partial(_ingest, lake),
            Against.REFERENCE: partial(_load, lake),
            Against.LIMIT: partial(ingest_plainly, pool),
        }
        # Workers start, and code is compiled.
        _measure(_Folder(bench.folder / "ingest-warm-up", _WARM_UP, 400, 300), ways, rounds=1)
        for width, height, files in _SIZES:
            folder = _Folder(bench.folder / f"ingest-{width}", files, width, height)
            measured = _measure(folder, ways, _ROUNDS)
            yield make_row(
                measured, Against.LIMIT, name="ingest", size=f"{files:,} files of {width} x {height}", unit="images/s",
                goal=Goal(direction=Direction.AT_LEAST, value=0.7),
                how="ingest_folder in a warm session, from a new folder to rows of `images` and `files`, beside"
                " reading, SHA-256, decoding and writing Parquet in one plain process for each core, and beside the"
                " reference's loader (a stream of binaryFile appended to a Delta table, then OPTIMIZE), which looks"
                " into no image",
                beside={"bytes read": f"{folder.bytes / 1e6:.0f} MB", "files listed": f"{files:,}"},
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

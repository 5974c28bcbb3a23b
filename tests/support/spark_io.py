"""Bytes that a Spark session reads, writes and shuffles, for tests and benchmarks."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pyspark.sql import SparkSession

from tests.support.sampling import process_tree


@dataclass(frozen=True)
class SparkIO:
    """Bytes that the processes of a local Spark session have moved since they started.

    Attributes:
        read: Bytes of all read calls of the JVM and its Python workers. Files in the page cache and sockets count.
            Spark's own metric misses most of a Parquet file, which is read by vectored reads.
        written: Bytes of all write calls of these processes.
        shuffled: Bytes written to shuffle files, by Spark's own metric.
    """

    read: int
    written: int
    shuffled: int

    @classmethod
    def now(cls, spark: SparkSession) -> Self:
        """Return the bytes up to now."""
        jvm = int(spark.sparkContext._jvm.java.lang.ProcessHandle.current().pid())
        counted = [_counters(pid) for pid in process_tree(jvm)]
        executors = spark.sparkContext._jsc.sc().statusStore().executorList(True)
        return cls(
            read=sum(counters.get("rchar", 0) for counters in counted),
            written=sum(counters.get("wchar", 0) for counters in counted),
            shuffled=sum(executors.apply(number).totalShuffleWrite() for number in range(executors.size())),
        )

    def __sub__(self, earlier: "SparkIO") -> "SparkIO":
        """Return the bytes moved since an earlier moment."""
        return SparkIO(self.read - earlier.read, self.written - earlier.written, self.shuffled - earlier.shuffled)


def _counters(pid: int) -> dict[str, int]:
    """Return the counters of `/proc/<pid>/io`, or none if the process has ended."""
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/io").read_text().splitlines()
        return {name: int(value) for name, value in (line.split(":") for line in lines)}
    return {}

"""Peak memory of the processes of a local Spark session."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pyspark.sql import SparkSession

from tests.support.sampling import process_memory, process_tree, sampled

_INTERVAL_SECONDS = 0.25


@dataclass
class PeakMemory:
    """Peak memory during a block.

    Attributes:
        heap: Live heap of the JVM in bytes. Each sample first collects garbage.
        jvm: Resident memory of the JVM in bytes.
        workers: Proportional memory (PSS) of the Python workers in bytes: shared pages count once.
    """

    heap: int = 0
    jvm: int = 0
    workers: int = 0


@contextmanager
def peak_memory(spark: SparkSession) -> Iterator[PeakMemory]:
    """Sample memory about four times a second, and yield the peaks so far.

    The samples make the block slower. What earlier work has left is freed first.

    Args:
        spark: The session.
    """
    gc.collect()
    peak = PeakMemory()
    system = spark.sparkContext._jvm.java.lang
    jvm = int(system.ProcessHandle.current().pid())
    runtime = system.Runtime.getRuntime()

    def sample() -> None:
        workers = sum(process_memory(pid, "Pss") for pid in process_tree(jvm) if pid != jvm)
        peak.jvm, peak.workers = max(peak.jvm, process_memory(jvm, "Rss")), max(peak.workers, workers)
        system.System.gc()
        peak.heap = max(peak.heap, int(runtime.totalMemory() - runtime.freeMemory()))

    with sampled(sample, _INTERVAL_SECONDS):
        yield peak

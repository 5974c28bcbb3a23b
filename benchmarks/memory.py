"""Peak memory of the processes of a local Spark session."""

import re
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

from pyspark.sql import SparkSession

from tests.support.spark_io import process_tree

_SECONDS = 0.25


class PeakMemory:
    """Peak memory during a block, sampled about four times a second. The samples slow the block down.

    Attributes:
        heap: Live heap of the JVM in bytes, after a garbage collection for each sample.
        jvm: Resident memory of the JVM in bytes.
        workers: Proportional memory of its Python workers in bytes: shared pages count once.

    Args:
        spark: The session.
    """

    def __init__(self, spark: SparkSession) -> None:
        self.heap = self.jvm = self.workers = 0
        self._system = spark.sparkContext._jvm.java.lang
        self._pid = int(self._system.ProcessHandle.current().pid())
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.jvm = max(self.jvm, _memory(self._pid, "Rss"))
            self.workers = max(
                self.workers, sum(_memory(pid, "Pss") for pid in process_tree(self._pid) if pid != self._pid)
            )
            self._system.System.gc()
            runtime = self._system.Runtime.getRuntime()
            self.heap = max(self.heap, int(runtime.totalMemory() - runtime.freeMemory()))
            if self._over.wait(_SECONDS):
                return


def _memory(pid: int, kind: str) -> int:
    """Return the `Rss` or `Pss` of a process in bytes; 0 if it has ended."""
    with suppress(OSError):
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        if found := re.search(rf"^{kind}: +(\d+) kB", rollup, re.MULTILINE):
            return int(found[1]) * 1024
    return 0

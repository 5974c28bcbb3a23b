"""Spark's Python workers."""

import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from pyspark.sql import SparkSession


def test_workers_are_forked_from_a_process_that_has_tensorflow_and_runs_nothing_with_it(spark: SparkSession) -> None:
    def look(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        assert sum(batch.num_rows for batch in batches)
        parent = Path("/proc", str(os.getppid()))
        threads = [(thread / "comm").read_text() for thread in (parent / "task").iterdir()]
        runs = any(name.startswith("tf_") for name in threads)
        yield pa.RecordBatch.from_pylist([{"has": "libtensorflow" in (parent / "maps").read_text(), "runs": runs}])

    (found,) = spark.range(1).coalesce(1).mapInArrow(look, "has BOOLEAN, runs BOOLEAN").collect()

    assert (found["has"], found["runs"]) == (True, False)

"""Spark's Python workers."""

import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import tensorflow as tf
from pyspark.sql import SparkSession

from components.score_images.predict import PREDICTED_COLUMNS, predict
from components.spark.frames import frame
from components.spark.memory_budget import Budget
from components.spark.send import send
from tests.support.saved_model_factory import AbortingClassifier
from tests.support.training_set_factory import digits


def test_workers_are_forked_from_a_process_that_only_imported_tensorflow(spark: SparkSession) -> None:
    def look(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        assert sum(batch.num_rows for batch in batches)
        parent = Path("/proc", str(os.getppid()))
        threads = [(thread / "comm").read_text() for thread in (parent / "task").iterdir()]
        runs = any(name.startswith("tf_") for name in threads)
        yield pa.RecordBatch.from_pylist([{"has": "libtensorflow" in (parent / "maps").read_text(), "runs": runs}])

    (found,) = spark.range(1).coalesce(1).mapInArrow(look, "has BOOLEAN, runs BOOLEAN").collect()

    assert (found["has"], found["runs"]) == (True, False)


def test_image_that_crashes_the_model_gets_an_error_and_the_others_a_prediction(
    spark: SparkSession, tmp_path: Path
) -> None:
    contents = [content for content, _ in digits(12)]
    model = AbortingClassifier([3, 5], contents[7])
    tf.saved_model.save(model, str(tmp_path), {"serving_default": model.serve})
    send(spark, tmp_path, "crashing")
    rows = [(str(number), str(number), content) for number, content in enumerate(contents)]
    images = frame(spark, rows, "path STRING, content_sha256 STRING, content BINARY").coalesce(1)

    found = images.mapInArrow(predict("crashing", Budget.of(spark)), PREDICTED_COLUMNS).collect()

    errors = {row["path"]: row["error"] for row in found}
    assert errors == {**dict.fromkeys(errors), "7": "scoring ended with signal 6 (SIGABRT)"}
    assert {row["path"] for row in found if row["predicted_label"] is not None} == errors.keys() - {"7"}
    assert len(found) == len(contents)

"""Predict the classes of images in Spark's Python workers."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path

import pyarrow as pa
from pyspark import SparkFiles

from components.preprocessing.classifier_process import ClassifierProcess
from components.preprocessing.header import decoded_pixels
from components.preprocessing.prediction import Prediction
from components.spark.memory_budget import Budget
from components.spark.tensorflow_threads import limit_tensorflow_threads

# A model's memory grows with the number of images (Xception needs 20 MB for each), the decoder's with the pixels.
MAXIMUM_ROWS = 32

PREDICTED_COLUMNS = """path STRING, predicted_label INT, predicted_score FLOAT, margin FLOAT, entropy FLOAT,
    error STRING"""
_SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("predicted_label", pa.int32()),
        ("predicted_score", pa.float32()),
        ("margin", pa.float32()),
        ("entropy", pa.float32()),
        ("error", pa.string()),
    ]
)


def predict(archive: str, budget: Budget) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return a function for `mapInArrow` that predicts the class of each image.

    It maps path, content_sha256 and content to `PREDICTED_COLUMNS`. Images of a partition with equal content are scored
    once.

    Args:
        archive: Name under which `send` sent the model to the workers.
        budget: Memory that a task may use at a time.
    """

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        predictions: dict[str, Prediction] = {}
        for batch in batches:
            hashes = batch["content_sha256"].to_pylist()
            contents = batch["content"]
            new = {content_hash: row for row, content_hash in enumerate(hashes) if content_hash not in predictions}
            new_hashes = iter(new)
            for images in split((contents[row].as_py() for row in new.values()), budget):
                batch_hashes = islice(new_hashes, len(images))
                predictions.update(zip(batch_hashes, classifier(archive).predict(images), strict=True))
            yield _rows(batch["path"], [predictions[content_hash] for content_hash in hashes])

    return run


def split(images: Iterable[bytes], budget: Budget) -> Iterator[list[bytes]]:
    """Divide images into batches that a model can classify within a task's memory.

    A batch exceeds the budget only if it is a single image.

    Args:
        images: Image files. The generator reads at most one image more than the batch that it yields.
        budget: Memory that a task may use at a time.
    """
    batch: list[bytes] = []
    total_bytes = total_pixels = 0
    for image in images:
        pixels = decoded_pixels(image) or 0
        total_bytes, total_pixels = total_bytes + len(image), total_pixels + pixels
        if batch and (len(batch) == MAXIMUM_ROWS or total_bytes > budget.batch_bytes or total_pixels > budget.pixels):
            yield batch
            batch, total_bytes, total_pixels = [], len(image), pixels
        batch.append(image)
    if batch:
        yield batch


def _rows(paths: pa.Array, predictions: Sequence[Prediction]) -> pa.RecordBatch:
    columns = zip(*predictions, strict=True) if predictions else [()] * (len(_SCHEMA) - 1)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, list(_SCHEMA)[1:], strict=True)]
    return pa.RecordBatch.from_arrays([paths, *arrays], schema=_SCHEMA)


@lru_cache(maxsize=1)
def classifier(archive: str) -> ClassifierProcess:
    """Return the process of the model, one per worker, with one thread per core of the task."""
    limit_tensorflow_threads()
    # Workers are forked from a process that has imported TensorFlow, and use it in this child only.
    return ClassifierProcess.of(Path(SparkFiles.get(archive)), fork=True)

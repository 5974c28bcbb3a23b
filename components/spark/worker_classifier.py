"""A classifier in Spark's Python workers, and the batches that it predicts within a task's memory."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from pyspark import SparkFiles

from components.preprocessing.classifier_process import ClassifierProcess
from components.preprocessing.header import decoded_pixels
from components.spark.memory_budget import Budget
from components.spark.tensorflow_threads import limit_tensorflow_threads

# A model's memory grows with the number of images (Xception needs 20 MB for each), the decoder's with the pixels.
MAXIMUM_ROWS = 32


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


@lru_cache(maxsize=1)
def classifier(archive: str) -> ClassifierProcess:
    """Return the process of the model, one per worker, with one thread per core of the task."""
    limit_tensorflow_threads()
    # Workers are forked from a process that has imported TensorFlow, and use it in this child only.
    return ClassifierProcess.of(Path(SparkFiles.get(archive)), fork=True)

"""Predictions, made where the images are: in Spark's Python workers."""

import os
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from components.images.classifier import Classifier, Prediction

# A model's own memory grows with the rows (Xception needs 20 MB for each), the decoder's with the bytes.
MAXIMUM_ROWS = 32
MAXIMUM_BYTES = 32 * 2**20

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


def predict(archive: str) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return the function for `mapInArrow` from path, content_sha256 and content to a prediction for each path.

    A content that comes twice in a partition is scored once.

    Args:
        archive: Name that the model was sent to the workers by.
    """

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        known: dict[str, Prediction] = {}
        for batch in batches:
            hashes = batch["content_sha256"].to_pylist()
            contents = batch["content"]
            new = {name: row for row, name in enumerate(hashes) if name not in known}
            sizes = [len(contents[row].as_buffer() or b"") for row in new.values()]
            names = list(new)
            for part in split(sizes):
                images = [contents[new[name]].as_py() for name in names[part]]
                known.update(zip(names[part], _classifier(archive).predict(images), strict=True))
            yield _rows(batch["path"], [known[name] for name in hashes])

    return run


def split(sizes: Sequence[int]) -> Iterator[slice]:
    """Divide images into batches for a model, each within the limits or of one image.

    Args:
        sizes: Bytes of each image.
    """
    start, total = 0, 0
    for index, size in enumerate(sizes):
        if index > start and (index - start == MAXIMUM_ROWS or total + size > MAXIMUM_BYTES):
            yield slice(start, index)
            start, total = index, 0
        total += size
    if sizes:
        yield slice(start, len(sizes))


def _rows(paths: pa.Array, predictions: "Sequence[Prediction]") -> pa.RecordBatch:
    columns = zip(*predictions, strict=True) if predictions else [()] * (len(_SCHEMA) - 1)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, list(_SCHEMA)[1:], strict=True)]
    return pa.RecordBatch.from_arrays([paths, *arrays], schema=_SCHEMA)


@lru_cache(maxsize=1)
def _classifier(archive: str) -> "Classifier":
    """Return the model, loaded once in this worker, with as many threads as its task has cores."""
    from pyspark import SparkFiles, TaskContext

    task = TaskContext.get()
    threads = str(task.cpus() if task else 1)
    # TensorFlow reads them when it starts. There is a worker for each core: with a thread for each core in each
    # worker, they would wait for one another.
    os.environ |= {"TF_NUM_INTRAOP_THREADS": threads, "TF_NUM_INTEROP_THREADS": threads}
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from components.images.classifier import Classifier

    return Classifier.load(Path(SparkFiles.get(archive)))

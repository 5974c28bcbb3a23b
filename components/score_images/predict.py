"""Predict the classes of images in Spark's Python workers."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import pyarrow as pa

from components.preprocessing.prediction import Prediction
from components.spark.memory_budget import Budget
from components.spark.worker_classifier import classifier, split

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


def _rows(paths: pa.Array, predictions: Sequence[Prediction]) -> pa.RecordBatch:
    columns = zip(*predictions, strict=True) if predictions else [()] * (len(_SCHEMA) - 1)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, list(_SCHEMA)[1:], strict=True)]
    return pa.RecordBatch.from_arrays([paths, *arrays], schema=_SCHEMA)

"""Predictions, made where the images are: in Spark's Python workers."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark import SparkFiles

from components.images.header import image_size
from components.workers.budget import Budget
from components.workers.threads import limit_tensorflow_threads

if TYPE_CHECKING:
    from components.images.classifier import Classifier, Prediction

# A model's own memory grows with the rows (Xception needs 20 MB for each), the decoder's with the pixels.
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
    """Return the function for `mapInArrow` from path, content_sha256 and content to a prediction for each path.

    A content that comes twice in a partition is scored once.

    Args:
        archive: Name that the model was sent to the workers by.
        budget: What a task may hold at a time.
    """

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        known: dict[str, Prediction] = {}
        for batch in batches:
            hashes = batch["content_sha256"].to_pylist()
            contents = batch["content"]
            new = {name: row for row, name in enumerate(hashes) if name not in known}
            names = iter(new)
            for images in split((contents[row].as_py() for row in new.values()), budget):
                known.update(zip(islice(names, len(images)), classifier(archive).predict(images), strict=True))
            yield _rows(batch["path"], [known[name] for name in hashes])

    return run


def split(images: Iterable[bytes], budget: Budget) -> Iterator[list[bytes]]:
    """Divide images into batches for a model, each within the limits or of one image.

    Args:
        images: Their files; one more than a batch's is taken at a time.
        budget: What a task may hold at a time.
    """
    part: list[bytes] = []
    total_bytes = total_pixels = 0
    for image in images:
        width, height = image_size(image) or (0, 0)
        total_bytes, total_pixels = total_bytes + len(image), total_pixels + width * height
        if part and (len(part) == MAXIMUM_ROWS or total_bytes > budget.batch_bytes or total_pixels > budget.pixels):
            yield part
            part, total_bytes, total_pixels = [], len(image), width * height
        part.append(image)
    if part:
        yield part


def _rows(paths: pa.Array, predictions: "Sequence[Prediction]") -> pa.RecordBatch:
    columns = zip(*predictions, strict=True) if predictions else [()] * (len(_SCHEMA) - 1)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, list(_SCHEMA)[1:], strict=True)]
    return pa.RecordBatch.from_arrays([paths, *arrays], schema=_SCHEMA)


@lru_cache(maxsize=1)
def classifier(archive: str) -> "Classifier":
    """Return the model, loaded once in this worker, with as many threads as its task has cores."""
    limit_tensorflow_threads()
    from components.images.classifier import Classifier

    return Classifier.load(Path(SparkFiles.get(archive)))

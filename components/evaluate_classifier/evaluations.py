"""Predict the classes of the test images that a model has not classified before, and keep the predictions.

A model and an image never change, so the table `evaluations` needs one row for both, ever. Spark's workers read the
images from the segments and predict their classes. The predictions are committed in slices, so a killed run goes on
after its last commit.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pyarrow as pa
from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from components.evaluate_classifier.segment_rows import SegmentRow, read_contents, segment_rows
from components.lake import Lake
from components.lake.tables import EVALUATIONS
from components.registry.model_registry import ModelRegistry
from components.spark.balanced_tasks import balanced_tasks
from components.spark.frames import frame
from components.spark.memory_budget import Budget
from components.spark.send import send
from components.spark.worker_classifier import classifier, split
from components.storage.access import Access
from components.training_set.manifest import TrainingSet

ArrowFunction = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]

_PREDICTED_COLUMNS = "content_sha256 STRING, predicted_label INT, predicted_score FLOAT, error STRING"
_SCHEMA = pa.schema(
    [
        ("content_sha256", pa.string()),
        ("predicted_label", pa.int32()),
        ("predicted_score", pa.float32()),
        ("error", pa.string()),
    ]
)
# Images of a commit, which are what a killed run repeats: minutes of work. More cores need more images at once.
_IMAGES_PER_COMMIT = 4096
_IMAGES_PER_CORE = 1024
# Two row groups. Fewer images give each core some, but no fewer than one batch of a model.
_IMAGES_PER_TASK = 256
_MINIMUM_IMAGES_PER_TASK = 32
# Rows of a segment that a slice takes together.
_ROWS_PER_CHUNK = 1024


@dataclass(frozen=True)
class Evaluated:
    """A model whose predictions of the test images are kept.

    Attributes:
        role: Word for the model in progress lines, e.g. `challenger`.
        model_uri: URI of the model.
        digest: SHA-256 of its SavedModel.
    """

    role: str
    model_uri: str
    digest: str


class _Chunk(NamedTuple):
    segment: str
    chunk: int
    images: int


def read_evaluations(lake: Lake, digest: str, version: int | None = None) -> DataFrame:
    """Return the rows of one model in the newest version of `evaluations`, or in the given one.

    Other models' files are not read.
    """
    return lake.read(EVALUATIONS, version).where(F.col("model_digest") == digest)


def evaluate_missing(
    lake: Lake,
    registry: ModelRegistry,
    training_set: TrainingSet,
    test_images: DataFrame,
    model: Evaluated,
    images_per_commit: int = 0,
) -> int:
    """Predict the test images that a model has no row for in `evaluations`, and append the rows.

    Idempotent. The model is downloaded only if an image is missing.

    Args:
        lake: The lake.
        registry: The registry that has the model.
        training_set: The training set of the test images.
        test_images: Frame of content_sha256, segment and row, each content once.
        model: The model.
        images_per_commit: Images that one commit writes at least, while there are as many; 0 chooses it by the number
            of cores.

    Returns:
        The number of images that the model has classified now.

    Raises:
        InputError: The model's files differ from the registered ones.
    """
    rows = test_images.select(*SegmentRow._fields).withColumn(
        "chunk", F.floor(F.col("row") / _ROWS_PER_CHUNK).cast("int")
    )

    # Each slice takes some of these narrow rows. Spark would drop them from its cache with each commit if the version
    # were open.
    done = read_evaluations(lake, model.digest, lake.version(EVALUATIONS)).select("content_sha256")
    missing = rows.join(done, "content_sha256", "left_anti").persist(StorageLevel.MEMORY_AND_DISK)
    try:
        # One row for 1,024 images or one segment.
        counts = missing.groupBy("segment", "chunk").count().orderBy("segment", "chunk")
        chunks = [_Chunk(*row) for row in counts.collect()]
        total = sum(chunk.images for chunk in chunks)
        if not total:
            return 0
        archive = _send(lake, registry, model)
        evaluated = 0
        for slice_ in _slices(chunks, lambda: images_per_commit or _images_per_commit(lake)):
            chosen = frame(lake.spark, [chunk[:2] for chunk in slice_], "segment STRING, chunk INT")
            images = missing.join(F.broadcast(chosen), ["segment", "chunk"], "left_semi")
            locations = {chunk.segment: training_set.segment_uri(chunk.segment) for chunk in slice_}
            evaluated += _append(lake, model.digest, _predict(lake, archive, images, locations, slice_))
            print(f"progress: {evaluated:,} of {total:,} test images that are new to the {model.role}", flush=True)
        return evaluated
    finally:
        missing.unpersist()


def _images_per_commit(lake: Lake) -> int:
    # Executors come while the work lasts, so each slice asks again.
    return max(_IMAGES_PER_COMMIT, _IMAGES_PER_CORE * int(lake.spark.sparkContext.defaultParallelism))


def _slices(chunks: list[_Chunk], images_per_slice: Callable[[], int]) -> Iterator[list[_Chunk]]:
    slice_: list[_Chunk] = []
    images = 0
    for chunk in chunks:
        slice_.append(chunk)
        images += chunk.images
        if images >= images_per_slice():
            yield slice_
            slice_, images = [], 0
    if slice_:
        yield slice_


def _send(lake: Lake, registry: ModelRegistry, model: Evaluated) -> str:
    """Send a model to the workers, and return the name of its archive."""
    archive = f"classifier-{model.digest[:16]}"
    with TemporaryDirectory() as folder:
        send(lake.spark, registry.download(model.model_uri, model.digest, Path(folder)), archive)
    return archive


def _predict(
    lake: Lake, archive: str, images: DataFrame, locations: Mapping[str, str], slice_: list[_Chunk]
) -> DataFrame:
    """Return the predictions of some rows of segments."""
    total = sum(chunk.images for chunk in slice_)
    tasks = max(ceil(total / _IMAGES_PER_TASK), min(balanced_tasks(lake.spark), ceil(total / _MINIMUM_IMAGES_PER_TASK)))
    return (
        images.select(*SegmentRow._fields)
        # Ranges of neighbors, so that few tasks read the same row group.
        .repartitionByRange(tasks, "segment", "row")
        .sortWithinPartitions("segment", "row")
        .mapInArrow(_predicting(archive, locations, lake.files.access, Budget.of(lake.spark)), _PREDICTED_COLUMNS)
    )


def _predicting(archive: str, locations: Mapping[str, str], access: Access, budget: Budget) -> ArrowFunction:
    """Return a function for `mapInArrow` that maps rows of segments to `_PREDICTED_COLUMNS`."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        hashes: list[str] = []

        def contents() -> Iterator[bytes]:
            for content_sha256, content in read_contents(segment_rows(batches), locations, access):
                hashes.append(content_sha256)
                yield content

        for images in split(contents(), budget):
            predictions = classifier(archive).predict(images)
            # `split` may have read one image more.
            rows = [
                (content_sha256, prediction.label, prediction.score, prediction.error)
                for content_sha256, prediction in zip(hashes[: len(images)], predictions, strict=True)
            ]
            del hashes[: len(images)]
            columns = [
                pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), _SCHEMA, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=_SCHEMA)

    return run


def _append(lake: Lake, digest: str, predicted: DataFrame) -> int:
    """Append predictions in one commit, and return their number."""
    predicted = predicted.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        # The work, before the lock is taken.
        count = int(predicted.count())
        with lake.writer(EVALUATIONS.name):
            # Another run of the same model may have been faster.
            done = read_evaluations(lake, digest).select("content_sha256")
            rows = predicted.join(done, "content_sha256", "left_anti").withColumns(
                {"model_digest": F.lit(digest), "evaluated_at": F.lit(datetime.now(UTC))}
            )
            lake.append(EVALUATIONS, rows.select(EVALUATIONS.schema.fieldNames()))
        return count
    finally:
        predicted.unpersist()

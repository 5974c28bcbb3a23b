"""Give the images of a source the labels of their folders again, e.g. after a wrong pattern."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa
from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from components.errors import InputError
from components.ingest_images.image_classes import number_in_lake
from components.ingest_images.labels.folders import FolderClass
from components.ingest_images.labels.numbers import Numbering
from components.ingest_images.labels.reader import Labels
from components.ingest_images.plan_runner import PlanRunner, source_lock
from components.ingest_images.source_labels import SourceLabels
from components.lake import Lake
from components.lake.tables import FILES, IMAGE
from components.parameters import parse
from components.parameters.ingest import IngestOptions, LabelSource
from components.settings import Settings
from components.spark.frames import frame
from components.spark.session import spark_session
from components.storage import uri

_CLASS = pa.schema(
    [
        ("path", pa.string()),
        ("folder_label", pa.int32()),
        ("name", pa.string()),
        ("number", pa.int32()),
        ("reason", pa.string()),
    ]
)
_CLASS_COLUMNS = "path STRING, folder_label INT, name STRING, number INT, reason STRING"


@dataclass
class RelabelResult:
    """Counts of a relabeling.

    Attributes:
        changed: Number of images with another label than before.
        classes: Number of images of each class, by class id and name of the folder.
        without_class: Number of images without a label, by reason.
    """

    changed: int = 0
    classes: Counter[tuple[int, str]] = field(default_factory=Counter)
    without_class: Counter[str] = field(default_factory=Counter)


def relabel(settings: Settings, source: str = "", label_pattern: str = "") -> RelabelResult:
    """Give the images of a source the labels of their folders again.

    Args:
        settings: Settings of the lake.
        source: Landing folder. If empty, the setting `labeled_source` applies.
        label_pattern: Pattern of the class in the path below the source. If empty, folders are classes from now on,
            even if they were in doubt.

    Raises:
        InputError: The pattern is malformed, or the lake has no image of the source.
        TimeoutError: Another run ingests the source.
    """
    labels = LabelSource.AUTO if label_pattern else LabelSource.FOLDERS
    options = parse(IngestOptions, {"labels": labels, "label_pattern": label_pattern})
    source = uri.normalize(source or settings.required("labeled_source"), "source")
    return relabel_source(Lake.open(spark_session(settings, workers_decode=False), settings), source, options)


def relabel_source(lake: Lake, source: str, options: IngestOptions) -> RelabelResult:
    """Give the images of a source their labels again, in an open lake. Idempotent.

    Args:
        lake: The lake.
        source: Normalized URI of the landing folder.
        options: What names the classes.

    Raises:
        InputError: The lake has no image of the source.
    """
    with source_lock(lake, source):
        PlanRunner(lake, source).finish_open_plan()
        is_of_source = (F.col("source") == uri.column_spelling(source)) & (F.col("state") == IMAGE)
        images = lake.read(FILES).where(is_of_source).select("path", "folder_label")
        if not images.take(1):
            raise InputError(f"source: the lake has no image of '{source}'. Check the URI, or ingest it.")
        labels = SourceLabels(lake.root, lake.files, source, options).labels(())
        found = images.mapInArrow(_reader(source, labels), _CLASS_COLUMNS).persist(StorageLevel.MEMORY_AND_DISK)
        try:
            return _apply(lake, found)
        finally:
            found.unpersist()


def _apply(lake: Lake, found: DataFrame) -> RelabelResult:
    """Write the labels of images whose classes were read."""
    counts = found.groupBy("name", "number", "reason").count().collect()
    classes = {FolderClass(row["name"], row["number"]) for row in counts if row["name"] is not None}
    numbering = number_in_lake(lake, classes)
    labels = [(each.name, each.number, label) for each, label in numbering.labels.items()]
    numbers = frame(lake.spark, labels, "class STRING, class_number INT, label INT")
    same = (F.col("name") == F.col("class")) & F.col("number").eqNullSafe(F.col("class_number"))
    changed = (
        found.join(F.broadcast(numbers), same, "left")
        .where(~F.col("label").eqNullSafe(F.col("folder_label")))
        .select("path", "label")
        .persist(StorageLevel.MEMORY_AND_DISK)
    )
    try:
        result = RelabelResult(
            lake.merge(FILES, changed, lambda builder: builder.whenMatchedUpdate(set={"folder_label": "source.label"}))
        )
    finally:
        changed.unpersist()
    for name, number, reason, count in counts:
        _count(result, numbering, None if name is None else FolderClass(name, number), reason, count)
    return result


def _count(
    result: RelabelResult, numbering: Numbering, image_class: FolderClass | None, reason: str, images: int
) -> None:
    if image_class is None:
        result.without_class[reason] += images
    elif image_class in numbering.refused:
        result.without_class[numbering.refused[image_class]] += images
    else:
        result.classes[numbering.labels[image_class], image_class.name] += images


def _reader(source: str, labels: Labels) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return a function that reads the classes of images on Spark's workers."""

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            found = [labels.read(uri.relative(path, source)) for path in batch["path"].to_pylist()]
            classes = [each if isinstance(each, FolderClass) else None for each in found]
            yield pa.RecordBatch.from_arrays(
                [
                    batch["path"].cast(pa.string()),
                    batch["folder_label"].cast(pa.int32()),
                    pa.array([each and each.name for each in classes], pa.string()),
                    pa.array([each and each.number for each in classes], pa.int32()),
                    pa.array([each if isinstance(each, str) else None for each in found], pa.string()),
                ],
                schema=_CLASS,
            )

    return read

"""Rows of the table `annotations`: each annotation is inserted exactly once."""

from datetime import UTC, datetime, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from components.import_labels.reading import ExportedAnnotation, Reading
from components.import_labels.rule import latest_annotations
from components.labeling.counting import seen_content
from components.labeling.formats import DEFAULT_SERVICE, Rejection
from components.lake import Lake
from components.lake.tables import ANNOTATIONS
from components.spark.frames import frame

REPEATED_ID = "annotation_id: another annotation already has this id. Give each annotation an id of its own."
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def drop_superseded(lake: Lake, reading: Reading, named: DataFrame) -> None:
    """Drop annotations without id and time that an export or the lake supersedes.

    An export without ids and times is a snapshot: it contains the current annotations of all its images. So only the
    newest export of an image and a person counts, and only if it differs from what the lake has, also from what was
    taken back.

    Args:
        lake: The lake.
        reading: The annotations that were read, with their labels.
        named: Frame of path and content_sha256 of all images in the reading.
    """
    newest: dict[tuple[str, str, str, str], tuple[datetime, set[int | None]]] = {}
    # The newest export comes first.
    for exported in reading.annotations:
        if _has_no_time(exported):
            time, labels = newest.setdefault(_person(exported), (exported.annotated_at, set()))
            if exported.annotated_at == time:
                labels.add(exported.label)
    if not newest:
        return
    stored = lake.read(ANNOTATIONS).withColumn("content_sha256", seen_content())
    rows = (
        latest_annotations(stored.join(named, ["path", "content_sha256"], "left_semi"))
        .groupBy("path", "content_sha256", "service", "annotator", F.unix_micros("annotated_at").alias("time"))
        # collect_set drops nulls.
        .agg(F.collect_set("label").alias("labels"), F.count_if(F.col("label").isNull()).alias("skipped"))
        .collect()
    )
    existing = {
        (row["path"], row["content_sha256"], row["service"], row["annotator"]): (
            _EPOCH + row["time"] * _MICROSECOND,
            {*row["labels"], *([None] if row["skipped"] else [])},
        )
        for row in rows
    }

    def is_current(exported: ExportedAnnotation) -> bool:
        time, labels = newest[_person(exported)]
        existing_time, existing_labels = existing.get(_person(exported), (_EPOCH, set()))
        return exported.annotated_at == time and existing_time <= time and labels != existing_labels

    reading.annotations = [
        exported for exported in reading.annotations if not _has_no_time(exported) or is_current(exported)
    ]


def _has_no_time(exported: ExportedAnnotation) -> bool:
    return not exported.annotation.annotation_id and exported.annotation.annotated_at is None


def _person(exported: ExportedAnnotation) -> tuple[str, str, str, str]:
    """Return the path, the content, the service and the person of an annotation."""
    annotation = exported.annotation
    service = annotation.service or DEFAULT_SERVICE
    return annotation.path, exported.content_sha256, service, annotation.annotator


def annotation_rows(lake: Lake, reading: Reading) -> DataFrame:
    """Return the rows of `annotations` for a reading, and reject annotations that repeat an id.

    Returns:
        Frame of the columns of `annotations`, and _place (the file and line of the annotation).
    """
    rows: dict[tuple[str, str], ExportedAnnotation] = {}
    for exported in reading.annotations:
        first = rows.setdefault(exported.key, exported)
        if first.annotation != exported.annotation:
            reading.rejected.append(Rejection(exported.located.place, REPEATED_ID))
    return frame(
        lake.spark,
        [
            (
                *key,
                exported.annotation.path,
                exported.content_sha256,
                exported.label,
                exported.annotation.annotator,
                exported.annotated_at,
                exported.annotation.batch or None,
                exported.located.place,
            )
            for key, exported in rows.items()
        ],
        f"{ANNOTATIONS.columns}, _place STRING",
    )

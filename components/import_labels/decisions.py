"""Labels and outcomes of requests, derived from the annotations that count."""

from dataclasses import dataclass
from datetime import UTC, datetime

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from components.import_labels.rule import decide_labels
from components.labeling.counting import counting_annotations
from components.lake import Lake
from components.lake.tables import LABELING_REQUESTS, LABELS
from components.parameters.labeling import LabelRule

_IMAGE = ["path", "content_sha256"]


@dataclass(frozen=True)
class Written:
    """What decisions have changed.

    Attributes:
        labels: Number of labels that were added, changed or removed.
        requests: Number of requests with another outcome.
    """

    labels: int = 0
    requests: int = 0


def decide(lake: Lake, rule: LabelRule, images: DataFrame | None = None) -> DataFrame:
    """Decide the labels of images by the annotations that count.

    Args:
        lake: The lake.
        rule: Rule for images that people label differently.
        images: Frame of path and content_sha256, each image once. None decides all annotated images.

    Returns:
        Frame as of `decide_labels`. If no annotation of an image counts, its outcome and its label are null.
    """
    annotations = counting_annotations(lake)
    if images is None:
        return decide_labels(annotations, rule)
    decided = decide_labels(annotations.join(images, _IMAGE, "left_semi"), rule)
    return images.join(decided, _IMAGE, "left").fillna(0, ["people", "classes"])


def write_decisions(lake: Lake, decisions: DataFrame) -> Written:
    """Write decisions into `labels` and into the requests for the images. Idempotent.

    Args:
        lake: The lake.
        decisions: Frame from `decide`. It is read several times: persist it.
    """
    return Written(_write_labels(lake, decisions), _write_outcomes(lake, decisions))


def _write_labels(lake: Lake, decisions: DataFrame) -> int:
    """Update `labels`. An image without a decided label loses its label."""
    old = lake.read(LABELS).select(*_IMAGE, F.col("label").alias("_old"), F.lit(True).alias("_exists"))
    changed = (
        decisions.join(old, _IMAGE, "left")
        .where(~F.col("label").eqNullSafe(F.col("_old")) | (F.col("label").isNull() & F.col("_exists")))
        .persist(StorageLevel.MEMORY_AND_DISK)
    )
    try:
        count, existing = changed.agg(F.count("*"), F.count("_exists")).first()
        rows = changed.select(LABELS.schema.fieldNames())
        if existing:
            lake.merge(
                LABELS,
                rows,
                lambda builder: (
                    builder.whenMatchedDelete("source.label IS NULL")
                    .whenMatchedUpdateAll()
                    .whenNotMatchedInsertAll("source.label IS NOT NULL")
                ),
            )
        elif count:
            # The common case: first labels. An append reads and rewrites no file, a merge does.
            lake.append(LABELS, rows)
        return int(count)
    finally:
        changed.unpersist()


def _write_outcomes(lake: Lake, decisions: DataFrame) -> int:
    """Update the outcomes of requests. A request without a decision is open."""
    requests = lake.read(LABELING_REQUESTS).select(*LABELING_REQUESTS.key, F.col("outcome").alias("_old"))
    changed = (
        requests.join(decisions.select(*_IMAGE, "outcome"), _IMAGE)
        .where(~F.col("outcome").eqNullSafe(F.col("_old")))
        .withColumn("completed_at", F.when(F.col("outcome").isNotNull(), F.lit(datetime.now(UTC))))
        .select(*LABELING_REQUESTS.key, "outcome", "completed_at")
        .persist(StorageLevel.MEMORY_AND_DISK)
    )
    try:
        count = int(changed.count())
        if count:
            outcome = {name: f"source.{name}" for name in ("outcome", "completed_at")}
            lake.merge(LABELING_REQUESTS, changed, lambda builder: builder.whenMatchedUpdate(set=outcome))
        return count
    finally:
        changed.unpersist()

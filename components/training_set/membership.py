"""Decide which labeled images are members of a training set."""

from collections.abc import Mapping

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from components.lake import Lake
from components.lake.tables import CLASSES, FILES, LABELS
from components.lake.views import current_images, effective_labels

# Existing manifests store these reasons.
CONFLICTING_LABELS = "one content with different labels"
DUPLICATE_CONTENT = "the same content at another path"


def labeled_images(lake: Lake, versions: Mapping[str, int] | None = None) -> DataFrame:
    """Return the labeled images of the lake, with reasons for exclusion.

    Args:
        lake: The lake.
        versions: Version of each table to read, by name; None reads the newest versions.

    Returns:
        Frame of path, content_sha256, length (bytes), load_date, ingested_at, label (the effective label), label_source
        and reason. The reason is `CONFLICTING_LABELS` or `DUPLICATE_CONTENT`, and null for a member of a training set.
    """
    versions = versions or {}
    files, people = (lake.read(table, versions.get(table.name)) for table in (FILES, LABELS))
    first, last = people.agg(F.min("path"), F.max("path")).first()
    # Literals, because Delta skips files by literals only.
    may_be_labeled = F.col("folder_label").isNotNull() | F.col("path").between(F.lit(first), F.lit(last))
    images = (
        current_images(files)
        .where(may_be_labeled)
        .select("path", "content_sha256", "length", "load_date", "ingested_at", "folder_label")
    )
    classes = lake.classes(versions.get(CLASSES.name))
    labeled = effective_labels(images, people, classes).where("label IS NOT NULL")
    same_content = Window.partitionBy("content_sha256")
    return (
        labeled.withColumn("_labels", F.size(F.collect_set("label").over(same_content)))
        .withColumn("_copy", F.row_number().over(same_content.orderBy("path")))
        .withColumn(
            "reason", F.when(F.col("_labels") > 1, CONFLICTING_LABELS).when(F.col("_copy") > 1, DUPLICATE_CONTENT)
        )
        .drop("_labels", "_copy")
    )

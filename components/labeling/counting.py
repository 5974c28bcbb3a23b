"""The annotations that count: those of classes that are not retired, and that nobody took back."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from components.lake import Lake
from components.lake.tables import ANNOTATIONS, UNDONE
from components.lake.views import merge_classes


def is_undone() -> Column:
    """Return the condition that an annotation was taken back."""
    return F.col("content_sha256").startswith(UNDONE)


def seen_content() -> Column:
    """Return the content that the person saw, also of an annotation that was taken back."""
    return F.regexp_replace("content_sha256", f"^{UNDONE}", "").alias("content_sha256")


def counting_annotations(lake: Lake) -> DataFrame:
    """Return the annotations that count, with the classes that others were merged into.

    Returns:
        Frame with the columns of `annotations`. A null label still means that the person skipped the image.
    """
    annotations = lake.read(ANNOTATIONS).where(~is_undone()).withColumn("_given", F.col("label"))
    merged = merge_classes(annotations, lake.classes(), "label")
    return merged.where("label IS NOT NULL OR _given IS NULL").drop("_given")

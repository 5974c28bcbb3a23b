"""The rule that makes labels of annotations: the last word of each person counts, and those who said a class agree."""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

LABELLED = "labelled"
SKIPPED = "skipped"
CONFLICTING = "conflicting"


def judge(annotations: DataFrame) -> DataFrame:
    """Judge images by their annotations.

    Args:
        annotations: All rows of `annotations` for the images in question.

    Returns:
        Frame of path, outcome (`labelled`, `skipped` or `conflicting`), label (class id, null unless labelled), source
        (the service) and labeled_at.
    """
    newest_first = Window.partitionBy("path", "service", "annotator").orderBy(F.desc("annotated_at"))
    # All answers of the newest time: a file that tells neither times nor names may hold two people's.
    last_words = annotations.withColumn("_rank", F.rank().over(newest_first)).where("_rank = 1")
    said = F.col("label").isNotNull()
    return (
        last_words.groupBy("path")
        .agg(
            F.count_distinct("label").alias("_labels"),
            F.min("label").alias("_label"),
            F.max(F.when(said, F.struct("annotated_at", "service"))).alias("_last"),
        )
        .withColumn(
            "outcome",
            F.when(F.col("_labels") == 1, LABELLED).when(F.col("_labels") == 0, SKIPPED).otherwise(CONFLICTING),
        )
        .withColumn("label", F.when(F.col("outcome") == LABELLED, F.col("_label")))
        .select("path", "outcome", "label", F.col("_last.service").alias("source"), "_last.annotated_at")
        .withColumnRenamed("annotated_at", "labeled_at")
    )

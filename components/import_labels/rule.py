"""The rules that turn the annotations of an image into its label. The latest annotation of each person counts."""

from collections.abc import Callable

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from components.labeling.requests import CONFLICTING, LABELED, SKIPPED
from components.parameters.labeling import LabelRule

# What people annotate: a content of a path.
_IMAGE = ("path", "content_sha256")

# Weight of a class by rule. The class with the greatest weight is the label; the annotations conflict if two share it.
_WEIGHTS: dict[LabelRule, Callable[[], Column]] = {
    LabelRule.LATEST: lambda: F.unix_micros("_last.annotated_at"),
    LabelRule.MAJORITY: lambda: F.size("_people"),
    LabelRule.UNANIMOUS: lambda: F.lit(0),
}


def latest_annotations(annotations: DataFrame) -> DataFrame:
    """Return the latest annotations of each person for each image.

    If a person has several of the same time, all are returned: without times and names, they may be by two people.
    """
    newest_first = Window.partitionBy(*_IMAGE, "service", "annotator").orderBy(F.desc("annotated_at"))
    return annotations.withColumn("_rank", F.rank().over(newest_first)).where("_rank = 1").drop("_rank")


def _person() -> Column:
    # Each anonymous annotation counts as a person of its own.
    anonymous = F.coalesce("annotator", F.lit("")) == ""
    return F.struct("service", "annotator", F.when(anonymous, F.col("annotation_id")))


def decide_labels(annotations: DataFrame, rule: LabelRule) -> DataFrame:
    """Decide the label of each image by its annotations. Skips count only if nobody gave the image a class.

    Args:
        annotations: Rows of `annotations`, complete for each image.
        rule: Rule for images that people label differently.

    Returns:
        Frame of path, content_sha256, outcome (`LABELED`, `SKIPPED` or `CONFLICTING`), label (class id, null unless
        labeled), source and labeled_at (service and time of the latest annotation with that label), people (number of
        people who gave the image a class) and classes (number of different classes that they gave).
    """
    classes = (
        latest_annotations(annotations)
        .groupBy(*_IMAGE, "label")
        .agg(
            F.collect_set(_person()).alias("_people"),
            F.max(F.struct("annotated_at", "service")).alias("_last"),
        )
        .withColumn("_weight", F.when(F.col("label").isNotNull(), _WEIGHTS[rule]()))
        .withColumn("_most", F.max("_weight").over(Window.partitionBy(*_IMAGE)))
    )
    best = F.col("_weight") == F.col("_most")
    # One person may have two latest annotations with different classes, and counts once.
    people = F.array_distinct(F.flatten(F.collect_list(F.when(F.col("label").isNotNull(), F.col("_people")))))
    return (
        classes.groupBy(*_IMAGE)
        .agg(
            F.count_if(best).alias("_best"),
            F.max(F.when(best, F.struct("_last", "label"))).alias("_winner"),
            F.size(people).alias("people"),
            F.count("label").alias("classes"),
        )
        .withColumn(
            "outcome",
            F.when(F.col("_best") == 1, LABELED).when(F.col("_best") == 0, SKIPPED).otherwise(CONFLICTING),
        )
        .select(
            *_IMAGE,
            "outcome",
            F.when(F.col("outcome") == LABELED, F.col("_winner.label")).alias("label"),
            F.col("_winner._last.service").alias("source"),
            F.col("_winner._last.annotated_at").alias("labeled_at"),
            "people",
            "classes",
        )
    )

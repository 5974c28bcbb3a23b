"""The rules that make a label of what people said of an image. The last word of each person counts."""

from collections.abc import Callable
from enum import StrEnum

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from components.errors import InputError

LABELLED = "labelled"
SKIPPED = "skipped"
CONFLICTING = "conflicting"


class Rule(StrEnum):
    """Which of several classes is an image's; where the rule has no answer, the image has no label.

    Attributes:
        LATEST: The class that somebody said last.
        MAJORITY: The class that more people said than any other.
        UNANIMOUS: The class that all said.
    """

    LATEST = "latest"
    MAJORITY = "majority"
    UNANIMOUS = "unanimous"

    @classmethod
    def parse(cls, name: str) -> "Rule":
        """Return the rule of a name.

        Raises:
            InputError: There is none.
        """
        try:
            return cls(name)
        except ValueError:
            raise InputError(f"label_rule: '{name}' is no rule. Give one of {', '.join(cls)}.") from None


# By the rule, what one class of an image has more of than the others. Where two have as much of it, people disagree.
_WEIGHTS: dict[Rule, Callable[[], Column]] = {
    Rule.LATEST: lambda: F.unix_micros("_last.annotated_at"),
    Rule.MAJORITY: lambda: F.size("_people"),
    Rule.UNANIMOUS: lambda: F.lit(0),
}


def last_words(annotations: DataFrame) -> DataFrame:
    """Return the rows of `annotations` that are the last word of somebody on an image.

    Those of one time are all last words: a file that tells neither times nor names may hold two people's.
    """
    newest_first = Window.partitionBy("path", "service", "annotator").orderBy(F.desc("annotated_at"))
    return annotations.withColumn("_rank", F.rank().over(newest_first)).where("_rank = 1").drop("_rank")


def _person() -> Column:
    # Where names are not told, each answer is somebody's.
    nameless = F.coalesce("annotator", F.lit("")) == ""
    return F.struct("service", "annotator", F.when(nameless, F.col("annotation_id")))


def judge(annotations: DataFrame, rule: Rule) -> DataFrame:
    """Judge images by their annotations. Who skipped an image says nothing about its class.

    Args:
        annotations: All rows of `annotations` for the images in question.
        rule: What to do where people disagree.

    Returns:
        Frame of path, outcome (`labelled`, `skipped` or `conflicting`), label (class id, null unless labelled), source
        (the service) and labeled_at of the last who said that label, people (how many gave the image a class) and
        classes (how many different ones they gave it).
    """
    classes = (
        last_words(annotations)
        .groupBy("path", "label")
        .agg(
            F.collect_set(_person()).alias("_people"),
            F.max(F.struct("annotated_at", "service")).alias("_last"),
        )
        .withColumn("_weight", F.when(F.col("label").isNotNull(), _WEIGHTS[rule]()))
        .withColumn("_most", F.max("_weight").over(Window.partitionBy("path")))
    )
    best = F.col("_weight") == F.col("_most")
    # Somebody's last words may be two classes.
    people = F.array_distinct(F.flatten(F.collect_list(F.when(F.col("label").isNotNull(), F.col("_people")))))
    return (
        classes.groupBy("path")
        .agg(
            F.count_if(best).alias("_best"),
            F.max(F.when(best, F.struct("_last", "label"))).alias("_winner"),
            F.size(people).alias("people"),
            F.count("label").alias("classes"),
        )
        .withColumn(
            "outcome",
            F.when(F.col("_best") == 1, LABELLED).when(F.col("_best") == 0, SKIPPED).otherwise(CONFLICTING),
        )
        .select(
            "path",
            "outcome",
            F.when(F.col("outcome") == LABELLED, F.col("_winner.label")).alias("label"),
            F.col("_winner._last.service").alias("source"),
            F.col("_winner._last.annotated_at").alias("labeled_at"),
            "people",
            "classes",
        )
    )

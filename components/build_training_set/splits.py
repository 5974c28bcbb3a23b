"""Assign images to train, validation and test."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from components.lake import Split
from components.training_set.manifest import SplitName


def add_split(members: DataFrame, split: Split) -> DataFrame:
    """Add the split and the sort key `order`.

    Both depend on the content only, so an image never changes its split.
    """
    order = F.sha2(F.concat(F.lit(f"{split.seed}:"), "content_sha256"), 256)
    position = F.conv(F.substring(order, 1, 8), 16, 10).cast("double") / 2**32
    name = (
        F.when(position < split.test, SplitName.TEST.value)
        .when(position < split.test + split.validation, SplitName.VALIDATION.value)
        .otherwise(SplitName.TRAIN.value)
    )
    return members.withColumn("split", name).withColumn("order", F.reverse(order))

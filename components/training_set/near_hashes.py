"""Join frames on near perceptual hashes, in Spark."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from components.spark.balanced_tasks import balanced_tasks
from components.training_set.near_duplicates import MAXIMUM_DISTANCE

_BAND_BITS = 16
# Two hashes that differ in three bits are equal in at least one of four bands.
_BANDS = MAXIMUM_DISTANCE + 1


def join_near(left: DataFrame, right: DataFrame) -> DataFrame:
    """Join rows with near perceptual hashes.

    Only hashes with an equal band are compared. So each of n hashes that spread evenly is compared with n / 16,384
    others.

    Args:
        left: Frame with the column `perceptual_hash` (bigint, not null), each hash once.
        right: Frame with the column `near_hash` (bigint, not null), and no column of `left`.

    Returns:
        The columns of both. A pair has a row for each of the bands in which it is equal: one to four rows.
    """
    difference = F.col("perceptual_hash").bitwiseXOR(F.col("near_hash"))
    bands = _with_bands(right, "near_hash").repartition(balanced_tasks(right.sparkSession), "_band")
    pairs = _with_bands(left, "perceptual_hash").join(bands, "_band")
    return pairs.where(F.bit_count(difference) <= MAXIMUM_DISTANCE).drop("_band")


def _with_bands(hashes: DataFrame, column: str) -> DataFrame:
    """Repeat each row for each band of its hash, with `_band`: the number of the band and its value."""
    value = (1 << _BAND_BITS) - 1
    bands = (
        F.shiftrightunsigned(column, _BAND_BITS * band).bitwiseAND(F.lit(value)) + F.lit(band << _BAND_BITS)
        for band in range(_BANDS)
    )
    return hashes.withColumn("_band", F.explode(F.array(*bands)))

"""The members of training sets, as Spark reads them."""

from pyspark.sql import DataFrame, SparkSession

_COLUMNS = "path STRING, content_sha256 STRING, label INT, label_source STRING, split STRING, segment STRING, row INT"


def read_members(spark: SparkSession, *uris: str) -> DataFrame:
    """Return the members of training sets. Without named columns, Spark would start a job to find them.

    Args:
        spark: The session.
        uris: URI of the members of each training set, at least one.

    Returns:
        Frame of path, content_sha256, label (class id), label_source, split, segment and row. The last two are null for
        members of release 0.1.0, which had no segments.
    """
    return spark.read.schema(_COLUMNS).parquet(*uris)

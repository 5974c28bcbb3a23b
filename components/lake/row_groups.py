"""Small row groups for content, so that a reader of a few images reads little more than them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pyspark.sql import SparkSession

# 1,000 of a million images of 68 kB lie in 2 % of the bytes, and in 85 % with Parquet's default of 128 MiB (computed).
ROW_GROUP_BYTES = 512 * 1024

_SMALL_ROW_GROUPS = {
    # Delta drops them as options of a write.
    "parquet.block.size": str(ROW_GROUP_BYTES),
    # By default, Parquet looks at the size after 100 rows.
    "parquet.page.size.row.check.min": "1",
    # Images are compressed already, and neither repeated nor searched: hashes and comparisons of them would be in vain.
    "spark.sql.parquet.compression.codec": "uncompressed",
    "parquet.enable.dictionary#content": "false",
    "parquet.column.statistics.enabled#content": "false",
}
# Otherwise Spark sorts the rows of a task by partition, contents included.
_IN_ORDER = {"spark.sql.maxConcurrentOutputFileWriters": "1"}


@contextmanager
def small_row_groups(spark: SparkSession) -> Iterator[None]:
    """Write Parquet files with row groups of 512 KiB, uncompressed, within the block."""
    with configured(spark, _SMALL_ROW_GROUPS):
        yield


@contextmanager
def rows_in_order(spark: SparkSession) -> Iterator[None]:
    """Write the rows of a task in their order within the block, for tasks with one partition of the table each."""
    with configured(spark, _IN_ORDER):
        yield


@contextmanager
def configured(spark: SparkSession, configuration: Mapping[str, str]) -> Iterator[None]:
    """Change the configuration of a session within the block.

    Args:
        spark: The session.
        configuration: Values by name.
    """
    earlier = {name: spark.conf.get(name, None) for name in configuration}
    for name, value in configuration.items():
        spark.conf.set(name, value)
    try:
        yield
    finally:
        for name, value in earlier.items():
            if value is None:
                spark.conf.unset(name)
            else:
                spark.conf.set(name, value)

"""The newest snapshot of a table in Delta's log.

Delta's public functions for a version or a property start a Spark job each, which takes a second in a new process.
"""

from typing import Any

from pyspark.sql import SparkSession


def newest_snapshot(spark: SparkSession, location: str) -> Any:
    """Return Delta's object of the newest snapshot of a table.

    Args:
        spark: The session.
        location: URI of the table.
    """
    jvm = spark._jvm
    none = jvm.scala.Option.empty()
    log = jvm.org.apache.spark.sql.delta.DeltaLog.forTable(spark._jsparkSession, location)
    return log.update(False, none, none)

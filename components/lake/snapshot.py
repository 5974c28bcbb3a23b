"""The newest snapshot of a table in Delta's log, and its newest commit.

Delta's public functions for these facts start a Spark job each, which takes a second in a new process.
"""

from typing import Any

from pyspark.sql import SparkSession


def newest_snapshot(spark: SparkSession, location: str) -> Any:
    """Return Delta's object of the newest snapshot of a table.

    Args:
        spark: The session.
        location: URI of the table.
    """
    none = spark._jvm.scala.Option.empty()
    return _log(spark, location).update(False, none, none)


def is_known_empty(spark: SparkSession, location: str) -> bool:
    """Return whether a table has no data files, as far as this is known without a job.

    Args:
        spark: The session.
        location: URI of the table.
    """
    checksum = newest_snapshot(spark, location).checksumOpt()
    return bool(checksum.isDefined() and checksum.get().numFiles() == 0)


def newest_data_files(spark: SparkSession, location: str, application: str, number: int) -> list[str] | None:
    """Return the data files that the newest commit of a table added, as the log names them.

    This reads the commit alone. A query for its rows would first read the list of all data files of the table.

    Args:
        spark: The session.
        location: URI of the table.
        application: The application of a transaction.
        number: The number that the application gave it.

    Returns:
        The names, or None if the newest commit is not the one of the transaction.
    """
    version = newest_snapshot(spark, location).version()
    commits = _log(spark, location).getChanges(version, spark._jvm.scala.Option.empty(), True)
    names: list[str] = []
    is_transaction = False
    while commits.hasNext():
        actions = commits.next()._2().iterator()
        while actions.hasNext():
            action = actions.next()
            kind = action.getClass().getSimpleName()
            if kind == "AddFile":
                names.append(action.path())
            elif kind == "SetTransaction":
                is_transaction |= (action.appId(), action.version()) == (application, number)
    return names if is_transaction else None


def _log(spark: SparkSession, location: str) -> Any:
    return spark._jvm.org.apache.spark.sql.delta.DeltaLog.forTable(spark._jsparkSession, location)

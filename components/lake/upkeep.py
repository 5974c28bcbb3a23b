"""Compact the tables of a lake with OPTIMIZE, and remove old files with VACUUM.

OPTIMIZE holds the writer lock of the table: on local files and on S3, Delta's log has one writer at a time. VACUUM
writes no log, and removes only files that are older than the retention, so it runs beside the writers.
"""

import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from urllib.parse import unquote

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from components.errors import InputError
from components.lake.lake import Lake
from components.lake.properties import read_properties, table_in_sql
from components.lake.row_groups import configured, small_row_groups
from components.lake.snapshot import newest_snapshot
from components.lake.tables import IMAGES, Table

# Files below the minimum are compacted, into files of at most the maximum. An ingest's file has about 60 to 128 MiB.
# Only fragments are compacted. Delta fills a file until the next one does not fit, so at most one small file is left:
# a day is compacted once.
MINIMUM_FILE_BYTES = 32 * 2**20
MAXIMUM_FILE_BYTES = 256 * 2**20
# Delta commits after this number of bytes. By default, it commits once for each partition, so a killed compaction of a
# partition has compacted nothing.
BATCH_BYTES = 8 * 2**30
# Delta sorts a group of files of a clustered table again while the group is smaller than this. The default is 100 GB,
# which is more than the whole table `files` has.
CLUSTERED_BYTES = 2**30

_SIZES = {
    "spark.databricks.delta.optimize.minFileSize": str(MINIMUM_FILE_BYTES),
    "spark.databricks.delta.optimize.maxFileSize": str(MAXIMUM_FILE_BYTES),
    "spark.databricks.delta.optimize.batchSize": str(BATCH_BYTES),
    "spark.databricks.delta.optimize.clustering.mergeStrategy.minCubeSize.threshold": str(CLUSTERED_BYTES),
    "spark.databricks.delta.optimize.clustering.mergeStrategy.minCubeSize.targetCubeSize": str(CLUSTERED_BYTES),
}
_ANY_RETENTION = {
    # By default, Delta refuses less than the retention of the table.
    "spark.databricks.delta.retentionDurationCheck.enabled": "false",
    # By default, VACUUM ignores the retention in its statement unless that is 0.
    "spark.databricks.delta.vacuum.retentionWindowIgnore.enabled": "false",
}
_VACUUM = {
    # By default, VACUUM makes two versions in some stores, even if it removes no file.
    "spark.databricks.delta.vacuum.logging.enabled": "false",
    # By default, the driver removes one file after another.
    "spark.databricks.delta.vacuum.parallelDelete.enabled": "true",
}
_RETENTION = "delta.deletedFileRetentionDuration"
_LOG_RETENTION = "delta.logRetentionDuration"
# The retention in days that maintenance set last. If the properties have other values, an operator set them.
_OWN_RETENTION = "image_pipelines.retention_days"
# Delta's defaults for tables without the properties.
_DEFAULT_RETENTION_DAYS = 7
_MINIMUM_LOG_RETENTION_DAYS = 30
_HOURS = {"hour": 1, "day": 24, "week": 168}


@dataclass(frozen=True)
class SmallFiles:
    """Two or more small files in a partition of a table.

    Attributes:
        partition: Value of the partition; empty for a table without partitions.
        files: Number of files.
        bytes: Their length in bytes.
    """

    partition: str
    files: int
    bytes: int


@dataclass(frozen=True)
class Usage:
    """A number of files and their bytes."""

    files: int = 0
    bytes: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        """Return the sum."""
        return Usage(self.files + other.files, self.bytes + other.bytes)

    def __sub__(self, other: "Usage") -> "Usage":
        """Return the difference."""
        return Usage(self.files - other.files, self.bytes - other.bytes)


def small_files(lake: Lake, table: Table, before: date | None = None) -> list[SmallFiles]:
    """Return the partitions with two or more small files, sorted by partition.

    Args:
        lake: The lake.
        table: The table.
        before: For a table that is partitioned by day, the first day that is left out; None leaves out no day.
    """
    found = (
        _data_files(lake, table)
        .where(F.col("size") < MINIMUM_FILE_BYTES)
        .groupBy("partition")
        .agg(F.count("*").alias("files"), F.sum("size").alias("bytes"))
        .where("files > 1")
    )
    if before is not None:
        found = found.where(F.col("partition") < before.isoformat())
    return [SmallFiles(**row.asDict()) for row in found.orderBy("partition").collect()]


def partitions(lake: Lake, table: Table) -> set[str]:
    """Return the values of a table's partitions, from Delta's log."""
    return {row["partition"] for row in _data_files(lake, table).select("partition").distinct().collect()}


def _data_files(lake: Lake, table: Table) -> DataFrame:
    """Return the data files of a table with their size in bytes and their partition.

    The partition is empty for a table without partitions.
    """
    files = DataFrame(newest_snapshot(lake.spark, lake.path(table)).allFiles().toDF(), lake.spark)
    partition = F.col("partitionValues")[table.partition] if table.partition else F.lit("")
    return files.select("size", partition.alias("partition"))


def compact(lake: Lake, table: Table, partitions: Sequence[str]) -> None:
    """Compact small files of a table. Idempotent. Rows stay as they are.

    The lock is free between two partitions, so writers wait for one partition only.

    Args:
        lake: The lake.
        table: The table.
        partitions: Values of the partitions; one empty text for a table without partitions.
    """
    for partition in partitions:
        with lake.writer(table.name), ExitStack() as configuration:
            configuration.enter_context(configured(lake.spark, _SIZES))
            if table is IMAGES:
                configuration.enter_context(small_row_groups(lake.spark))
            builder = lake.delta(table).optimize()
            if partition:
                escaped = partition.replace("\\", "\\\\").replace("'", "\\'")
                builder = builder.where(f"{table.partition} = '{escaped}'")
            lake.check_held()
            builder.executeCompaction()


def check_retention(lake: Lake, table: Table, retention_days: int) -> None:
    """Check that an operator did not set another retention for a table.

    Args:
        lake: The lake.
        table: The table.
        retention_days: Retention in days.

    Raises:
        InputError: The table has another retention, which maintenance did not set.
    """
    _changed_properties(lake, table, retention_days)


def vacuum(lake: Lake, table: Table, retention_days: int) -> None:
    """Remove the files of a table that its versions within the retention do not need.

    Args:
        lake: The lake.
        table: The table.
        retention_days: Retention in days. 0 removes the files of all versions but the newest: the caller holds the
            writer lock of the table, and no other task may read it.
    """
    if retention_days:
        with lake.writer(table.name):
            lake.check_held()
            _set_retention(lake, table, retention_days)
    with configured(lake.spark, _VACUUM | _ANY_RETENTION):
        lake.check_held()
        lake.delta(table).vacuum(24 * retention_days)


def _set_retention(lake: Lake, table: Table, days: int) -> None:
    """Set the retention of a table.

    After this time, Delta forgets removed files and refuses to read the versions that had them.
    """
    changed = _changed_properties(lake, table, days)
    if changed:
        properties = ", ".join(f"'{name}' = '{value}'" for name, value in changed.items())
        lake.spark.sql(f"ALTER TABLE {table_in_sql(lake.path(table))} SET TBLPROPERTIES ({properties})")


def _changed_properties(lake: Lake, table: Table, days: int) -> dict[str, str]:
    """Return the properties that a retention changes; see `check_retention`."""
    present = read_properties(lake.spark, lake.path(table))
    if _hours(present.get(_RETENTION, _days(_DEFAULT_RETENTION_DAYS))) == 24 * days:
        return {}
    own = int(present.get(_OWN_RETENTION, 0))
    if _RETENTION in present and _hours(present[_RETENTION]) != 24 * own:
        raise InputError(
            f"retention_days: the table '{table.name}' keeps removed files for '{present[_RETENTION]}', by its property"
            f" {_RETENTION}. Unset the property, or give as many days."
        )
    changed = {_RETENTION: _days(days), _OWN_RETENTION: str(days)}
    is_own_log = own and _hours(present.get(_LOG_RETENTION, "")) == 24 * _log_days(own)
    if is_own_log or _LOG_RETENTION not in present:
        changed[_LOG_RETENTION] = _days(_log_days(days))
    return changed


def _log_days(days: int) -> int:
    """Return the retention of the log in days, by that of removed files."""
    return max(days, _MINIMUM_LOG_RETENTION_DAYS)


def _days(days: int) -> str:
    """Return a number of days as Delta's properties spell it."""
    return f"interval {days} days"


def _hours(interval: str) -> int:
    """Return the hours of an interval, e.g. `interval 2 weeks`."""
    return sum(int(number) * _HOURS[unit] for number, unit in re.findall(r"(\d+)\s+(hour|day|week)", interval.lower()))


def vacuumable(lake: Lake, table: Table, retention_days: int) -> Usage:
    """Return the number and bytes of the files that `vacuum` would remove.

    Args:
        lake: The lake.
        table: The table.
        retention_days: Retention in days.
    """
    location = lake.path(table)
    with configured(lake.spark, _ANY_RETENTION):
        statement = f"VACUUM {table_in_sql(location)} RETAIN {24 * retention_days} HOURS DRY RUN"
        rows = lake.spark.sql(statement).collect()
    lengths = {name.rpartition("/")[2]: status.length for name, status in lake.files.find(location).items()}
    # Folders that became empty are listed, too.
    names = [name for row in rows if (name := unquote(row["path"]).rpartition("/")[2]) in lengths]
    return Usage(len(names), sum(lengths[name] for name in names))


def table_usage(lake: Lake, table: Table) -> Usage:
    """Return the number and bytes of all files in a table's folder.

    These are the files of all versions, and Delta's log.

    Args:
        lake: The lake.
        table: The table.
    """
    statuses = lake.files.find(lake.path(table)).values()
    return Usage(len(statuses), sum(status.length for status in statuses))

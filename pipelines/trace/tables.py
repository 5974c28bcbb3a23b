"""Read tables of a lake at one version each, without writing anything."""

from datetime import UTC, datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from components.errors import InputError
from components.lake import Lake, Table
from components.lake.classes import LakeClasses
from components.lake.tables import CLASSES, UNRECORDED


class PinnedTables:
    """The tables of a lake, each at the version that it had when it was first read.

    Attributes:
        lake: The lake.
        versions: Version of each table that was read, by name; None for a table that the lake lacks.

    Args:
        lake: An existing lake of the schema version of this release.

    Raises:
        InputError: The URI has no lake, or one of another release.
    """

    def __init__(self, lake: Lake) -> None:
        if not lake.is_current():
            raise InputError(
                f"lake: '{lake.root}' is a lake of an earlier release. Run `image-pipelines lake migrate`, then trace."
            )
        self.lake = lake
        self.versions: dict[str, int | None] = {}
        self._held: dict[tuple[str, str], DataFrame] = {}

    def read(self, table: Table) -> DataFrame:
        """Return the rows of a table."""
        version = self._version(table)
        if version is None:
            return self.lake.spark.createDataFrame([], table.schema)
        return self.lake.read(table, version)

    def classes(self) -> LakeClasses:
        """Return the classes of the lake."""
        version = self._version(CLASSES)
        return LakeClasses(()) if version is None else self.lake.classes(version)

    def of_path(self, table: Table, path: str) -> DataFrame:
        """Return the rows of a path.

        Delta skips files, and Parquet skips row groups, whose statistics exclude the path.
        """
        return self.read(table).where(F.col("path") == F.lit(path))

    def held_of_path(self, table: Table, path: str) -> DataFrame:
        """Return the rows of a path, which the driver holds.

        It is for tables of short rows that are read several times.
        """
        key = table.name, path
        if key not in self._held:
            rows = self.of_path(table, path).select(*table.schema.names).toArrow()
            self._held[key] = self.lake.spark.createDataFrame(rows, table.schema)
        return self._held[key]

    def of_model(self, table: Table, digest: str, model_name: str, version: str) -> DataFrame:
        """Return a version's rows of a table that is partitioned by `model_digest`.

        Args:
            table: The table.
            digest: SHA-256 of the model's files; empty for a version without one.
            model_name: Registered model, for rows of release 0.1.0, which recorded no digest.
            version: Its version.
        """
        rows = self.read(table).where(F.col("model_digest").isin([*filter(None, [digest]), UNRECORDED]))
        if "model_version" not in table.schema.names:
            return rows.where(F.col("model_digest") == F.lit(digest))
        earlier = (F.col("model_name") == F.lit(model_name)) & (F.col("model_version") == F.lit(version))
        return rows.where((F.col("model_digest") == F.lit(digest)) | earlier)

    def _version(self, table: Table) -> int | None:
        if table.name not in self.versions:
            self.versions[table.name] = self.lake.version(table) if self.lake.has(table) else None
        return self.versions[table.name]


def utc(time: datetime) -> datetime:
    """Return a time of a row, which Spark gives in the zone of this process, in UTC."""
    return time.astimezone(UTC)


def optional_utc(time: datetime | None) -> datetime | None:
    """Return a time of a row in UTC; None stays None."""
    return None if time is None else utc(time)

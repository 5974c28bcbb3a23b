"""Migration of a lake of release 0.1.0 to schema version 2.

One commit replaces each table, so a table is either as it was or migrated, and a repeated migration skips it. `images`
is the last one, because the others take content hashes from it. Its property with the lake's version follows, when
nothing is left to do.
"""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from components.lake.properties import (
    SCHEMA_VERSION,
    VERSION_OF_0_1_0,
    VERSION_PROPERTY,
    read_properties,
    table_in_sql,
    table_properties,
)
from components.lake.row_groups import small_row_groups
from components.lake.snapshot import newest_snapshot
from components.lake.tables import (
    ANNOTATIONS,
    CLASSES,
    FILES,
    FOLDER,
    IMAGE,
    IMAGES,
    LABELING_REQUESTS,
    LABELS,
    PEOPLE,
    PREDICTIONS,
    QUARANTINED,
    UNRECORDED,
    Table,
)
from components.storage import uri
from components.storage.files import Files

# `images.batch` of all rows that release 0.1.0 wrote.
BATCH_OF_0_1_0 = "0.1.0"

_QUARANTINE = "quarantine"
# Ids of classes that people named began here. A folder could have the same number.
_FIRST_LABEL_OF_PEOPLE = 1000
# Streams of 0.1.0 kept what they had read in checkpoints. Scoring kept a note of complete versions.
_USELESS_FOLDERS = (_QUARANTINE, "_checkpoints")
_USELESS_NOTES = ("score_images.json",)
_RENAMED_NOTES = {
    "ingest_labelled.json": "ingest_labeled.json",
    "ingest_unlabelled.json": "ingest_unlabeled.json",
}
_VIEW = "_image_pipelines_migration"


@dataclass(frozen=True)
class Cost:
    """What a migration rewrites.

    Attributes:
        rows: Number of rows.
        size_bytes: Size of their files.
    """

    rows: int
    size_bytes: int

    def __str__(self) -> str:
        return (
            f"migrating the lake to schema version {SCHEMA_VERSION} rewrites {self.rows:,} rows,"
            f" {self.size_bytes / 2**20:,.1f} MiB. This takes as much free space, because the old files stay until"
            " VACUUM removes them."
        )


class Migration:
    """The migration of a lake, or what a killed one has left of it.

    Attributes:
        LOCKS: Names of the locks that its caller holds: those of each table of release 0.1.0.
    """

    LOCKS: ClassVar[tuple[str, ...]] = (
        _QUARANTINE,
        *(table.name for table in (IMAGES, CLASSES, ANNOTATIONS, LABELS, PREDICTIONS, LABELING_REQUESTS)),
    )

    def __init__(self, spark: SparkSession, root: str, files: Files) -> None:
        self._spark = spark
        self._root = root
        self._files = files

    def cost(self) -> Cost:
        """Return what is left to rewrite."""
        left = [table.name for table in self._conversions if table is not FILES and not self._is_migrated(table)]
        if IMAGES.name in left and self._exists(_QUARANTINE):
            left.append(_QUARANTINE)
        details = [DeltaTable.forPath(self._spark, self._path(name)).detail() for name in left]
        return Cost(
            rows=sum(self._old(name).count() for name in left),
            size_bytes=sum(int(detail.select("sizeInBytes").first()[0]) for detail in details),
        )

    def run(self, check: Callable[[], None]) -> None:
        """Migrate the lake. The caller holds the locks.

        Args:
            check: Raises an error if a lock was lost. It is called before each commit.
        """
        for table, convert in self._conversions.items():
            if not self._is_migrated(table):
                self._replace(table, convert(), check)
        check()
        self._remove_leftovers()
        self._spark.sql(
            f"ALTER TABLE {table_in_sql(self._path(IMAGES.name))}"
            f" SET TBLPROPERTIES ({_literal(VERSION_PROPERTY)} = '{SCHEMA_VERSION}')"
        )

    @property
    def _conversions(self) -> Mapping[Table, Callable[[], DataFrame]]:
        """The tables that 0.1.0 has in its own way, in the order of their migration."""
        return {
            FILES: self._convert_files,
            CLASSES: self._convert_classes,
            ANNOTATIONS: lambda: self._with_hashes(ANNOTATIONS),
            LABELS: lambda: self._with_hashes(LABELS),
            PREDICTIONS: lambda: self._with_hashes(PREDICTIONS).withColumn("model_digest", F.lit(UNRECORDED)),
            LABELING_REQUESTS: self._convert_labeling_requests,
            IMAGES: self._convert_images,
        }

    def _convert_files(self) -> DataFrame:
        # Discovery compares whole seconds.
        modified = F.date_trunc("second", "modificationTime").alias("modificationTime")
        images = self._old_images.select(
            "path",
            "length",
            modified,
            F.col("content_sha256").alias("source_sha256"),
            "content_sha256",
            F.lit(IMAGE).alias("state"),
            F.col("label").alias("folder_label"),
            "load_date",
            "ingested_at",
        )
        newest = F.struct("load_date", "modificationTime")
        refused = (
            self._old_quarantine.join(images.select("path"), "path", "left_anti")
            .groupBy("path")
            .agg(F.max_by(F.struct("length", modified, "content_sha256", "reason", "load_date"), newest).alias("last"))
            .select("path", "last.*", F.lit(QUARANTINED).alias("state"))
            .withColumn("ingested_at", F.col("load_date").cast("timestamp"))
            .withColumnRenamed("content_sha256", "source_sha256")
        )
        return images.unionByName(refused, allowMissingColumns=True)

    def _convert_classes(self) -> DataFrame:
        of_folders = self._old_images.where("label IS NOT NULL").select("label").distinct()
        is_of_folder = F.col("_of_folder").isNotNull() | (F.col("label") < _FIRST_LABEL_OF_PEOPLE)
        return (
            self._old(CLASSES.name)
            .join(of_folders.withColumn("_of_folder", F.lit(True)), "label", "left")
            .withColumn("source", F.when(is_of_folder, FOLDER).otherwise(PEOPLE))
        )

    def _convert_labeling_requests(self) -> DataFrame:
        rows = self._with_hashes(LABELING_REQUESTS)
        return rows.withColumns(
            {
                column: F.when(F.col(column) == old, new).otherwise(F.col(column))
                for column, old, new in (("outcome", "labelled", "labeled"), ("reason", "doubtful", "uncertain"))
            }
        )

    def _convert_images(self) -> DataFrame:
        batch = F.lit(BATCH_OF_0_1_0).alias("batch")
        images = self._old_images.select("*", F.col("content_sha256").alias("source_sha256"), batch)
        refused = self._old_quarantine.select(
            "path",
            F.col("content_sha256").alias("source_sha256"),
            "length",
            "modificationTime",
            "reason",
            batch,
            "load_date",
            F.col("load_date").cast("timestamp").alias("ingested_at"),
        )
        # Files of 0.1.0 are of one day each, so content need not be shuffled.
        return images.unionByName(refused, allowMissingColumns=True).sortWithinPartitions("load_date", "path")

    def _with_hashes(self, table: Table) -> DataFrame:
        """Return a table's rows with the hash of the content that their path has, empty if it has none."""
        hashes = self._old_images.select("path", "content_sha256")
        rows = self._old(table.name).join(hashes, "path", "left")
        return rows.withColumn("content_sha256", F.coalesce("content_sha256", F.lit("")))

    def _replace(self, table: Table, rows: DataFrame, check: Callable[[], None]) -> None:
        """Create or replace a table with rows in one commit."""
        properties = self._properties(table)
        columns = rows.select(
            *(
                F.col(field.name) if field.name in rows.columns else F.lit(None).cast(field.dataType).alias(field.name)
                for field in table.schema
            )
        )
        if table is not IMAGES:
            # So that the statistics of a file span few keys.
            columns = columns.orderBy(table.key[0])
        columns.createOrReplaceTempView(_VIEW)
        check()
        layout = f"PARTITIONED BY ({table.partition})" if table.partition else ""
        layout += f"CLUSTER BY ({table.cluster})" if table.cluster else ""
        assigned = ", ".join(f"{_literal(name)} = {_literal(value)}" for name, value in properties.items())
        try:
            with small_row_groups(self._spark) if table is IMAGES else nullcontext():
                self._spark.sql(
                    f"CREATE OR REPLACE TABLE {table_in_sql(self._path(table.name))} USING delta {layout}"
                    f" TBLPROPERTIES ({assigned}) AS TABLE {_VIEW}"
                )
        finally:
            self._spark.catalog.dropTempView(_VIEW)

    def _properties(self, table: Table) -> dict[str, str]:
        """Return the properties of a migrated table: those that it has had, and those of a new one."""
        location = self._path(table.name)
        earlier = read_properties(self._spark, location) if self._exists(table.name) else {}
        properties = {
            name: value
            for name, value in earlier.items()
            if not name.startswith(("delta.min", "delta.feature.", "delta.constraints."))
        }
        properties |= table_properties(table)
        if table is IMAGES:
            properties[VERSION_PROPERTY] = str(VERSION_OF_0_1_0)
        # Delta makes all columns of such a table nullable, and refuses to change that. Release 0.1.0 does not write all
        # of them, so it can't write a migrated table.
        required = [field.name for field in table.schema if not field.nullable]
        return properties | {f"delta.constraints.{name}_is_set": f"{name} IS NOT NULL" for name in required}

    def _remove_leftovers(self) -> None:
        for folder in _USELESS_FOLDERS:
            self._files.remove_folder(uri.join(self._root, folder))
        notes = uri.join(self._root, "_status")
        for old, new in _RENAMED_NOTES.items():
            if self._files.exists(uri.join(notes, old)):
                self._files.write_bytes(uri.join(notes, new), self._files.read_bytes(uri.join(notes, old)))
        for name in (*_USELESS_NOTES, *_RENAMED_NOTES):
            self._files.remove(uri.join(notes, name))

    def _is_migrated(self, table: Table) -> bool:
        if not self._exists(table.name):
            # What 0.1.0 did not come to create is created empty.
            return table is not FILES
        columns = self._spark.read.format("delta").load(self._path(table.name)).columns
        return set(columns) >= set(table.schema.names)

    @cached_property
    def _old_images(self) -> DataFrame:
        return self._old(IMAGES.name)

    @cached_property
    def _old_quarantine(self) -> DataFrame:
        if self._exists(_QUARANTINE):
            return self._old(_QUARANTINE)
        columns = "path STRING, modificationTime TIMESTAMP, length BIGINT, content_sha256 STRING, reason STRING"
        return self._spark.createDataFrame([], f"{columns}, load_date DATE")

    def _old(self, name: str) -> DataFrame:
        """Return a table as it is now, also while it is replaced."""
        location = self._path(name)
        version = newest_snapshot(self._spark, location).version()
        return self._spark.read.format("delta").option("versionAsOf", version).load(location)

    def _path(self, name: str) -> str:
        return uri.join(self._root, name)

    def _exists(self, name: str) -> bool:
        return bool(DeltaTable.isDeltaTable(self._spark, self._path(name)))


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"

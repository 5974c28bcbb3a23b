"""A lake: creating it, reading it, and writing its tables."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from delta.exceptions import (
    ConcurrentAppendException,
    ConcurrentDeleteDeleteException,
    ConcurrentDeleteReadException,
    ConcurrentWriteException,
    MetadataChangedException,
)
from delta.tables import DeltaMergeBuilder, DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from components.errors import InputError
from components.lake.image_data import image_data
from components.lake.lock import not_writable, writer_lock
from components.lake.tables import CLASSES, IMAGES, LABELS, PREDICTIONS, TABLES, Table
from components.settings import Settings
from components.storage import Access, files, open_store, uri

MergeClauses = Callable[[DeltaMergeBuilder], DeltaMergeBuilder]

CONFLICTS = (
    ConcurrentAppendException,
    ConcurrentDeleteDeleteException,
    ConcurrentDeleteReadException,
    ConcurrentWriteException,
    MetadataChangedException,
)
_PROPERTY = "image_pipelines.split."


@dataclass(frozen=True)
class Split:
    """How images are divided, fixed when the lake is made.

    Attributes:
        validation: Fraction of the images for early stopping, 0..1.
        test: Fraction of the images for the gate, 0..1.
        seed: Mixed into the hash of an image's content.

    Raises:
        InputError: The fractions leave nothing to train on, or are none.
    """

    validation: float = 0.1
    test: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if not (self.validation > 0 and self.test > 0 and self.validation + self.test < 1):
            raise InputError(
                f"validation_fraction, test_fraction: {self.validation:g} and {self.test:g} leave a part of the images"
                " empty. Give two that are above 0 and together less than 1."
            )

    @classmethod
    def of(cls, settings: Settings) -> "Split | None":
        """Return the split of the settings, or None if they leave it to the lake."""
        validation, test, seed = settings.validation_fraction, settings.test_fraction, settings.split_seed
        if validation is test is seed is None:
            return None
        standard = cls()
        return cls(
            standard.validation if validation is None else validation,
            standard.test if test is None else test,
            standard.seed if seed is None else seed,
        )


class Lake:
    """The Delta tables under one root URI.

    Attributes:
        spark: The session that reads and writes them.
        root: The normalised root URI.
    """

    def __init__(self, spark: SparkSession, root: str, lock: str = "", lock_timeout_seconds: float = 600) -> None:
        self.spark = spark
        self.root = uri.normalize(root, "lake")
        self._lock = lock
        self._lock_timeout_seconds = lock_timeout_seconds
        self._held: list[Callable[[], None]] = []
        # A folder's own lock is a file in it, which can't be had if nothing may be written there.
        self._is_known_writable = uri.is_local(self.root) and not lock

    @classmethod
    def open(cls, spark: SparkSession, settings: Settings) -> "Lake":
        """Return the lake of the settings, with all of its tables made.

        Raises:
            InputError: The settings name no lake, its store can't be asked, or it was made with another split.
        """
        lake = cls(spark, settings.required("lake"), settings.lock, settings.lock_timeout_seconds)
        # In one sentence, where Spark would need a page.
        open_store(lake.root, Access.of(settings)).check(lake.root)
        lake.create(Split.of(settings))
        return lake

    def create(self, split: Split | None = None) -> None:
        """Make the tables that do not exist. A lake that exists keeps its split.

        Args:
            split: How images are divided into train, validation and test.

        Raises:
            InputError: The lake exists with another split.
        """
        if not self._exists(TABLES[-1]):
            with self.writer("create"):
                self._create_missing(split or Split())
        if split is not None and split != (fixed := self.split):
            raise InputError(
                f"split: the lake '{self.root}' was made with {fixed}, which is fixed, not with {split}."
                " Leave it out of the settings."
            )

    def _create_missing(self, split: Split) -> None:
        for table in TABLES:
            builder = (
                DeltaTable.createIfNotExists(self.spark)
                .location(self.path(table))
                .addColumns(table.schema)
                .property("delta.enableDeletionVectors", "false")
            )
            if table is IMAGES:
                for name, value in vars(split).items():
                    builder = builder.property(_PROPERTY + name, repr(value))
            builder.execute()

    @cached_property
    def split(self) -> Split:
        """How this lake's images are divided, which never changes."""
        properties = self.delta(IMAGES).detail().select("properties").first()[0]
        return Split(
            validation=float(properties[_PROPERTY + "validation"]),
            test=float(properties[_PROPERTY + "test"]),
            seed=int(properties[_PROPERTY + "seed"]),
        )

    def path(self, table: Table) -> str:
        """Return a table's URI."""
        return uri.join(self.root, table.name)

    def checkpoint(self, stream: str, source: str) -> str:
        """Return the checkpoint's URI of a stream, named by what it reads."""
        return uri.join(self.root, "_checkpoints", f"{stream}-{uri.digest(source)}")

    def delta(self, table: Table) -> DeltaTable:
        """Return a table, for writing and for its history."""
        return DeltaTable.forPath(self.spark, self.path(table))

    def read(self, table: Table, version: int | None = None) -> DataFrame:
        """Return a table's rows, of its newest version or of the one given."""
        reader = self.spark.read.format("delta")
        return (reader if version is None else reader.option("versionAsOf", version)).load(self.path(table))

    def version(self, table: Table) -> int:
        """Return the number of a table's newest version."""
        return int(self.delta(table).history(1).select("version").first()[0])

    def image_data(self) -> DataFrame:
        """Return the view of each image with its best label and its newest prediction."""
        return image_data(self.read(IMAGES), self.read(CLASSES), self.read(LABELS), self.read(PREDICTIONS))

    def register_views(self) -> None:
        """Make the tables and `image_data` known to the session's SQL by their names."""
        for table in TABLES:
            self.read(table).createOrReplaceTempView(table.name)
        self.image_data().createOrReplaceTempView("image_data")

    @contextmanager
    def writer(self, name: str) -> Iterator[None]:
        """Hold the writer's lock of a table or stream; see `components.lake.lock`.

        Raises:
            InputError: Nothing may be written into the lake.
        """
        end_jobs = self.spark.sparkContext.cancelAllJobs
        with writer_lock(self.root, name, self._lock_timeout_seconds, self._lock, end_jobs) as check:
            self._check_writable()
            self._held.append(check)
            try:
                yield
            finally:
                self._held.remove(check)

    def _check_writable(self) -> None:
        """Find out once, and tell in one sentence, where Spark would need a page."""
        if self._is_known_writable:
            return
        try:
            files.write_text(uri.join(self.root, "_status", "writable"), "")
        except OSError as error:
            raise not_writable(self.root, error) from error
        self._is_known_writable = True

    def insert_new(self, table: Table, rows: DataFrame) -> int:
        """Insert the rows whose key the table does not have. Nothing is rewritten.

        Args:
            table: Where to.
            rows: Frame with the table's columns, each key at most once. It is read more than once: persist it.

        Returns:
            How many rows were inserted.
        """
        return self.merge(table, rows, lambda builder: builder.whenNotMatchedInsertAll())

    def upsert(self, table: Table, rows: DataFrame) -> int:
        """Insert the rows, in place of those that have the same key.

        Args:
            table: Where to.
            rows: Frame with the table's columns, each key at most once. It is read more than once: persist it.

        Returns:
            How many rows were inserted or updated.
        """
        return self.merge(table, rows, lambda builder: builder.whenMatchedUpdateAll().whenNotMatchedInsertAll())

    def merge(self, table: Table, rows: DataFrame, clauses: MergeClauses) -> int:
        """MERGE rows into a table by its key, under the writer's lock. A conflict within this driver is retried.

        Args:
            table: Where to, known to the clauses as `target`.
            rows: What to merge, known to the clauses as `source`.
            clauses: Adds the `when...` clauses to the builder.

        Returns:
            How many rows were inserted or updated.
        """
        condition = " AND ".join(f"target.{column} <=> source.{column}" for column in table.key)
        with self.writer(table.name):
            return self._merge(table, rows, condition, clauses)

    @retry(
        retry=retry_if_exception_type(CONFLICTS),
        stop=stop_after_attempt(5),
        wait=wait_random_exponential(max=10),
        reraise=True,
    )
    def _merge(self, table: Table, rows: DataFrame, condition: str, clauses: MergeClauses) -> int:
        builder = self.delta(table).alias("target").merge(rows.alias("source"), condition)
        # Of the table and of the streams around it.
        for check in self._held:
            check()
        metrics = clauses(builder).execute()
        counts = metrics.select(F.col("num_inserted_rows") + F.col("num_updated_rows")).first()
        return int(counts[0])

    def _exists(self, table: Table) -> bool:
        return bool(DeltaTable.isDeltaTable(self.spark, self.path(table)))

"""A lake: its creation, and reads and writes of its tables."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import unquote

from delta.exceptions import (
    ConcurrentAppendException,
    ConcurrentDeleteDeleteException,
    ConcurrentDeleteReadException,
    ConcurrentWriteException,
    MetadataChangedException,
)
from delta.tables import DeltaMergeBuilder, DeltaTable
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from components.errors import InputError
from components.lake.classes import ClassRow, LakeClasses
from components.lake.migration import Migration
from components.lake.nearby import enclosing_lake, nearby_lake
from components.lake.properties import (
    SCHEMA_VERSION,
    VERSION_OF_0_1_0,
    VERSION_PROPERTY,
    read_properties,
    table_properties,
)
from components.lake.row_groups import rows_in_order, small_row_groups
from components.lake.snapshot import is_known_empty, newest_data_files, newest_snapshot
from components.lake.tables import CLASSES, FILES, IMAGES, LABELS, PREDICTIONS, TABLES, Table
from components.lake.views import current_images, image_data, quarantine
from components.lock import not_writable, writer_lock
from components.settings import Settings
from components.storage import uri
from components.storage.files import Files
from components.succession import Succession

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
    """How images are split, fixed when the lake is created.

    Attributes:
        validation: Fraction of the images for early stopping, 0..1.
        test: Fraction of the images for the gate, 0..1.
        seed: Mixed into the hash of an image's content.

    Raises:
        InputError: A fraction is out of its range, or both leave no images for training.
    """

    validation: float = 0.1
    test: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if not (self.validation > 0 and self.test > 0 and self.validation + self.test < 1):
            raise InputError(
                f"validation_fraction, test_fraction: {self.validation:g} and {self.test:g} leave a split without"
                " images. Give two fractions above 0 whose sum is below 1."
            )

    @classmethod
    def of(cls, settings: Settings) -> "Split | None":
        """Return the split of the settings; None if the settings have none."""
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
        root: The normalized root URI.
        files: Access to the files of the lake and of landing folders; by default, to local files.
    """

    def __init__(
        self,
        spark: SparkSession,
        root: str,
        files: Files = Files(),  # noqa: B008 - frozen
        lock: str = "",
        lock_timeout_seconds: float = 600,
    ) -> None:
        self.spark = spark
        self.root = uri.normalize(root, "lake")
        self.files = files
        self._lock = lock
        self._lock_timeout_seconds = lock_timeout_seconds
        # Functions that check a lock, by its name and the thread that holds it.
        self._held: dict[tuple[str, int], Callable[[], None]] = {}
        # The lock of a local lake is a file in it, so holding the lock proves that the lake is writable.
        self._is_known_writable = uri.is_local(self.root) and not lock
        # The classes that were read last, and the version of their table.
        self._classes: tuple[int, LakeClasses] | None = None

    @classmethod
    def open(cls, spark: SparkSession, settings: Settings) -> "Lake":
        """Return the existing lake of the settings. A lake of an earlier release is migrated first.

        Raises:
            InputError: The settings name no lake, its store refuses access, or the URI has no lake, a newer one, or one
                with another split.
        """
        lake = cls.at(spark, settings)
        lake.update()
        lake.check_split(Split.of(settings))
        return lake

    @classmethod
    def open_or_create(cls, spark: SparkSession, settings: Settings) -> "Lake":
        """Return the lake of the settings, and create it if the URI has none.

        Raises:
            InputError: See `open`; a URI without a lake is fine unless it looks like another lake's.
        """
        lake = cls.at(spark, settings)
        if not lake.exists() and (meant := lake._find_meant()):
            raise InputError(
                f"lake: no lake at '{lake.root}', but there is one at '{meant}'. Correct the URI, or create the new"
                " lake with `image-pipelines lake create`."
            )
        lake.create(Split.of(settings))
        return lake

    @classmethod
    def at(cls, spark: SparkSession, settings: Settings) -> "Lake":
        """Return the lake of the settings without a look at its tables.

        Raises:
            InputError: The settings name no lake, or its store refuses access.
        """
        root, files = settings.required("lake"), Files.of(settings)
        lake = cls(spark, root, files, settings.lock, settings.lock_timeout_seconds)
        # Fails with one sentence, where Spark would print a page.
        lake.files.check(lake.root)
        return lake

    def create(self, split: Split | None = None) -> None:
        """Create the lake. An existing lake keeps its split, and is migrated if an earlier release made it.

        Args:
            split: How images are split into train, validation and test; None takes the default for a new lake.

        Raises:
            InputError: The lake exists with another split, is newer than this release, or would be inside another one.
        """
        if self.exists():
            self.update()
        elif outer := enclosing_lake(self.root, self.files):
            raise InputError(f"lake: '{self.root}' is inside the lake '{outer}'. Give a folder beside it.")
        else:
            with self.writer("create"):
                self._create_missing(split or Split())
        self.check_split(split)

    def exists(self) -> bool:
        """Return whether the URI has a lake."""
        return self.has(IMAGES)

    def update(self) -> None:
        """Migrate a lake of an earlier release, and create tables that an earlier release did not have.

        Raises:
            InputError: The URI has no lake, or a newer one.
        """
        if not self.is_current():
            self._migrate()
        if not all(map(self.has, TABLES)):
            with self.writer("create"):
                self._create_missing(self.split)

    def _find_meant(self) -> str:
        """Return the root URI of the lake that this mistyped one means; empty if there is none."""
        # A parameter may replace the lake of the environment.
        return nearby_lake(self.root, self.files, [Settings.load().lake])

    def require_known_version(self) -> int:
        """Return the schema version of the lake, which is not newer than this release.

        Raises:
            InputError: The URI has no lake, or a newer one.
        """
        if not self.exists():
            meant = self._find_meant()
            advice = f"Did you mean '{meant}'?" if meant else "Check the URI, or run `image-pipelines lake create`."
            raise InputError(f"lake: no lake at '{self.root}'. {advice}")
        version = int(read_properties(self.spark, self.path(IMAGES)).get(VERSION_PROPERTY, VERSION_OF_0_1_0))
        if version > SCHEMA_VERSION:
            raise InputError(
                f"lake: '{self.root}' has schema version {version}, but this release knows versions up to"
                f" {SCHEMA_VERSION}. Use the release that wrote the lake, or a later one."
            )
        return version

    def is_current(self) -> bool:
        """Return whether the lake has the schema version of this release, and not an earlier one.

        Raises:
            InputError: The URI has no lake, or a newer one.
        """
        return self.require_known_version() == SCHEMA_VERSION

    def migration(self) -> Migration:
        """Return the migration of this lake of an earlier release."""
        return Migration(self.spark, self.root, self.files)

    def _migrate(self) -> None:
        # All locks: a task of the earlier release could write a table after it was read.
        with ExitStack() as locks:
            for name in ("create", *Migration.LOCKS):
                locks.enter_context(self.writer(name))
            # Another task may have migrated the lake meanwhile.
            if not self.is_current():
                migration = self.migration()
                print(f"progress: {migration.cost()}", flush=True)
                migration.run(self.check_held)

    def _create_missing(self, split: Split) -> None:
        # `images` last: it makes the folder a lake, so creation goes on where it was killed.
        for table in sorted(TABLES, key=lambda each: each is IMAGES):
            builder = DeltaTable.createIfNotExists(self.spark).location(self.path(table)).addColumns(table.schema)
            if table.partition:
                builder = builder.partitionedBy(table.partition)
            if table.cluster:
                builder = builder.clusterBy(table.cluster)
            properties = table_properties(table)
            if table is IMAGES:
                properties |= {_PROPERTY + name: repr(value) for name, value in vars(split).items()}
            for name, value in properties.items():
                builder = builder.property(name, value)
            builder.execute()

    def check_split(self, split: Split | None) -> None:
        """Check that the lake has a split.

        Args:
            split: The expected split; None accepts any.

        Raises:
            InputError: The lake has another split.
        """
        if split is not None and split != (fixed := self.split):
            raise InputError(
                f"split: the lake '{self.root}' has {fixed}, which can't be changed to {split}. Remove it from the"
                " settings."
            )

    @cached_property
    def split(self) -> Split:
        """The split of this lake, which never changes."""
        properties = read_properties(self.spark, self.path(IMAGES))
        return Split(
            validation=float(properties[_PROPERTY + "validation"]),
            test=float(properties[_PROPERTY + "test"]),
            seed=int(properties[_PROPERTY + "seed"]),
        )

    def has(self, table: Table) -> bool:
        """Return whether the lake has a table. A lake of an earlier release may lack one."""
        return bool(DeltaTable.isDeltaTable(self.spark, self.path(table)))

    def path(self, table: Table) -> str:
        """Return a table's URI."""
        return uri.join(self.root, table.name)

    def delta(self, table: Table) -> DeltaTable:
        """Return a table for writes and for its history."""
        return DeltaTable.forPath(self.spark, self.path(table))

    def read(self, table: Table, version: int | None = None) -> DataFrame:
        """Return the rows of a table's newest version, or of the given one."""
        reader = self.spark.read.format("delta")
        return (reader if version is None else reader.option("versionAsOf", version)).load(self.path(table))

    def current_images(self) -> DataFrame:
        """Return the current image of each path, without content; see `views.current_images`."""
        return current_images(self.read(FILES))

    def version(self, table: Table) -> int:
        """Return the number of a table's newest version."""
        return int(newest_snapshot(self.spark, self.path(table)).version())

    def classes(self, version: int | None = None) -> LakeClasses:
        """Return the classes of the newest version, or of the given one. The last version is read once."""
        number = self.version(CLASSES) if version is None else version
        if self._classes is None or self._classes[0] != number:
            # Without a number if the newest is wanted: Delta refuses a version that is older than the retention and was
            # replaced meanwhile.
            rows = self.read(CLASSES, version).select(*ClassRow._fields).collect()
            self._classes = number, LakeClasses(tuple(ClassRow(*row) for row in rows))
        return self._classes[1]

    def image_data(self, succession: Succession) -> DataFrame:
        """Return each image with its effective label and its current prediction."""
        return image_data(
            self.current_images(),
            self.read(IMAGES),
            self.classes(),
            self.read(LABELS),
            self.read(PREDICTIONS),
            succession,
        )

    def register_views(self, succession: Succession) -> None:
        """Register the tables, `quarantine` and `image_data` as views of the session."""
        for table in TABLES:
            # A query creates no table, and an earlier release may lack one.
            rows = self.read(table) if self.has(table) else self.spark.createDataFrame([], table.schema)
            rows.createOrReplaceTempView(table.name)
        quarantine(self.read(FILES)).createOrReplaceTempView("quarantine")
        self.image_data(succession).createOrReplaceTempView("image_data")

    @contextmanager
    def writer(self, name: str) -> Iterator[None]:
        """Hold the writer lock of a table or step; see `components.lock`. A thread can hold it several times.

        Raises:
            InputError: The task may not write into the lake.
        """
        holder = name, threading.get_ident()
        if holder in self._held:
            yield
            return
        end_jobs = self.spark.sparkContext.cancelAllJobs
        with writer_lock(self.root, name, self._lock_timeout_seconds, self._lock, end_jobs) as check:
            self._check_writable()
            self._held[holder] = check
            try:
                yield
            finally:
                del self._held[holder]

    def check_held(self) -> None:
        """Check the locks that are held on this lake: of tables, and of the step that writes it.

        Raises:
            LockLost: One of them was lost.
        """
        for check in list(self._held.values()):
            check()

    def _check_writable(self) -> None:
        """Fail with one sentence where Spark would print a page. Checks once."""
        if self._is_known_writable:
            return
        try:
            self.files.write_text(uri.join(self.root, "_status", "writable"), "")
        except OSError as error:
            raise not_writable(self.root, error) from error
        self._is_known_writable = True

    def insert_new(self, table: Table, rows: DataFrame) -> int:
        """Insert rows whose key is new. Existing files are not rewritten.

        Args:
            table: The table.
            rows: Frame with the table's columns and each key at most once. It is read several times: persist it.

        Returns:
            The number of inserted rows.
        """
        return self.merge(table, rows, lambda builder: builder.whenNotMatchedInsertAll())

    def upsert(self, table: Table, rows: DataFrame) -> int:
        """Insert rows, and update rows that have the same key.

        Args:
            table: The table.
            rows: Frame with the table's columns and each key at most once. It is read several times: persist it.

        Returns:
            The number of inserted and updated rows.
        """
        return self.merge(table, rows, lambda builder: builder.whenMatchedUpdateAll().whenNotMatchedInsertAll())

    def append(
        self, table: Table, rows: DataFrame, transaction: tuple[str, int] | None = None, metadata: str = ""
    ) -> None:
        """Append rows to a table in one commit, under the writer lock. Existing rows are not read.

        Args:
            table: The table. For `images`, row groups are small, and each partition of the frame becomes a file that
                keeps the order of its rows. Rows of other tables become one file in each partition of the table.
            rows: Frame with the table's columns. It is read once.
            transaction: The writing application and its number of the commit. Delta drops a commit silently if the
                application has made one with this number or a higher one: read the rows back.
            metadata: Text for the table's history.
        """
        with self.writer(table.name):
            self.check_held()
            writer = (rows if table is IMAGES else rows.repartition(1)).write.format("delta").mode("append")
            if metadata:
                writer = writer.option("userMetadata", metadata)
            if transaction is not None:
                application, number = transaction
                writer = writer.option("txnAppId", application).option("txnVersion", number)
            with ExitStack() as configuration:
                if table is IMAGES:
                    configuration.enter_context(small_row_groups(self.spark))
                    configuration.enter_context(rows_in_order(self.spark))
                writer.save(self.path(table))

    def last_transaction(self, table: Table, application: str) -> int | None:
        """Return the number of an application's last commit to a table; None for none. See `append`."""
        number = newest_snapshot(self.spark, self.path(table)).transactions().get(application)
        return int(number.get()) if number.isDefined() else None

    def is_known_empty(self, table: Table) -> bool:
        """Return whether a table has no rows, as far as this is known without a query."""
        return is_known_empty(self.spark, self.path(table))

    def newest_data_files(self, table: Table, application: str, number: int) -> list[str] | None:
        """Return the URIs of the data files that the newest commit to a table added.

        Args:
            table: The table.
            application: The writing application.
            number: Its number of the commit. See `append`.

        Returns:
            The URIs, or None if the newest commit is another one.
        """
        location = self.path(table)
        names = newest_data_files(self.spark, location, application, number)
        return None if names is None else [uri.join(location, unquote(name)) for name in names]

    def merge(self, table: Table, rows: DataFrame, clauses: MergeClauses) -> int:
        """MERGE rows into a table by its key, under the writer lock. Conflicts within this driver are retried.

        Args:
            table: The table, which clauses refer to as `target`.
            rows: The rows, which clauses refer to as `source`. They are read several times: persist them.
            clauses: Adds the `when...` clauses to the builder.

        Returns:
            The number of inserted and updated rows.
        """
        with self.writer(table.name):
            condition = _condition(table, rows)
            return 0 if condition is None else self._merge(table, rows, condition, clauses)

    def delete(self, table: Table, condition: Column) -> None:
        """Delete the rows of a table that match a condition, under the writer lock.

        Args:
            table: The table.
            condition: Condition on the table's columns. One on the partition column only rewrites no file.
        """
        with self.writer(table.name), small_row_groups(self.spark) if table is IMAGES else nullcontext():
            self.check_held()
            self.delta(table).delete(condition)

    @retry(
        retry=retry_if_exception_type(CONFLICTS),
        stop=stop_after_attempt(5),
        wait=wait_random_exponential(max=10),
        reraise=True,
    )
    def _merge(self, table: Table, rows: DataFrame, condition: Column, clauses: MergeClauses) -> int:
        builder = self.delta(table).alias("target").merge(rows.alias("source"), condition)
        self.check_held()
        metrics = clauses(builder).execute()
        counts = metrics.select(F.col("num_inserted_rows") + F.col("num_updated_rows")).first()
        return int(counts[0])


def _condition(table: Table, rows: DataFrame) -> Column | None:
    """Return the condition of a MERGE by a table's key; None without rows.

    It names the range of each column of the key: Delta skips files and partitions of the target by literals only.
    """
    bounded = [column for column in table.key if not table.schema[column].nullable]
    bounds = [
        each(column).alias(f"{column}_{index}") for column in bounded for index, each in enumerate((F.min, F.max))
    ]
    found = rows.agg(F.count("*").alias("_rows"), *bounds).first()
    if found is None or not found["_rows"]:
        return None
    condition = F.expr(" AND ".join(f"target.{column} <=> source.{column}" for column in table.key))
    for column in bounded:
        condition &= F.col(f"target.{column}").between(F.lit(found[f"{column}_0"]), F.lit(found[f"{column}_1"]))
    return condition

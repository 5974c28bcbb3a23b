"""Maintain a lake: remove unneeded data, compact the tables, and vacuum them.

Each removal decides again which data are needed, under the lock that writers of the same data hold. If a concurrent
step has recorded that it needs the data, they stay. Otherwise the step finds them removed. A removal starts with the
record that makes the data visible: the manifest of a training set, the row of a segment. So a killed removal leaves
nothing that looks complete, and the next run finishes it.
"""

from collections import defaultdict
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic

from pyspark.sql import functions as F

from components.errors import InputError
from components.lake import Lake
from components.lake.ingests import settled_until
from components.lake.tables import GROUPS, IMAGES, PREDICTIONS, PROMOTIONS, SEGMENTS, TABLES
from components.lake.upkeep import (
    Usage,
    check_retention,
    compact,
    partitions,
    small_files,
    table_usage,
    vacuum,
    vacuumable,
)
from components.parameters import MaintenanceFields
from components.registry.champion import lock_name
from components.retention.inventory import read_inventory, read_searched, read_training, read_versions
from components.retention.rules import IN_USE, Inventory, Needed, Version, is_in_use, needed, removable_digests
from components.run_notes import MaintenanceNote, write_run_note
from components.settings import Settings
from components.spark.frames import frame
from components.spark.session import spark_session
from components.storage import uri
from components.storage.files import Files
from components.training_set.features import (
    FEATURES_FOLDER,
    TRAINING_SETS_FOLDER,
    list_features,
    remove_features,
    select_unused,
)
from components.training_set.manifest import MANIFEST, SEGMENTS_FOLDER
from components.training_set.trainings import RESULT_FILE, RUNS_FOLDER, training_lock

_SEGMENT = ".parquet"


@dataclass(frozen=True)
class Area:
    """A table of the lake, or a folder beside the tables.

    Attributes:
        name: Name of the table or folder.
        before: Its files before the run.
        after: Its files after the run; in a dry run, the estimate.
        removed: What was removed, e.g. training sets; None for a table.
        kept: What was kept; None for a table.
        small: Number of small files that were compacted.
    """

    name: str
    before: Usage
    after: Usage
    removed: int | None = None
    kept: int | None = None
    small: int = 0


@dataclass(frozen=True)
class MaintenanceResult:
    """The result of a maintenance.

    Attributes:
        lake: Root URI of the lake.
        fields: The parameters.
        areas: The folders and tables.
        digests: Digests of the models whose predictions were removed, by registered model.
        seconds: Duration in seconds.
    """

    lake: str
    fields: MaintenanceFields
    areas: list[Area]
    digests: dict[str, frozenset[str]]
    seconds: float

    @property
    def before(self) -> Usage:
        """All files before the run."""
        return sum((area.before for area in self.areas), Usage())

    @property
    def after(self) -> Usage:
        """All files after the run."""
        return sum((area.after for area in self.areas), Usage())


def maintain(
    settings: Settings,
    fields: MaintenanceFields = MaintenanceFields(),  # noqa: B008 - frozen
    now: datetime | None = None,
) -> MaintenanceResult:
    """Maintain the lake of the settings.

    Args:
        settings: Settings of the lake and the MLflow server.
        fields: Parameters of the pipeline.
        now: Current time; None reads the clock.

    Raises:
        InputError: The settings name no lake or no MLflow server, the server has none of the champions of a model, or
            an operator set another retention for a table. Nothing was removed.
        LockLost: A lock was lost. Nothing was removed since.
        TimeoutError: Another task holds a lock for longer than the setting `lock_timeout_seconds`.
    """
    settings.required("mlflow_tracking_uri")
    lake = Lake.open(spark_session(settings, workers_decode=False), settings)
    result = maintain_lake(lake, settings, fields, now or datetime.now(UTC))
    note = MaintenanceNote(
        dry_run=fields.dry_run,
        files_before=result.before.files,
        files_after=result.after.files,
        bytes_before=result.before.bytes,
        bytes_after=result.after.bytes,
    )
    write_run_note(settings, note)
    return result


def maintain_lake(lake: Lake, settings: Settings, fields: MaintenanceFields, now: datetime) -> MaintenanceResult:
    """Maintain an open lake. Idempotent.

    Args:
        lake: The lake.
        settings: Settings of the MLflow server.
        fields: Parameters of the pipeline.
        now: Current time.
    """
    started = monotonic()
    for table in TABLES:
        check_retention(lake, table, fields.retention_days)
    inventory = read_inventory(lake.root, lake.files, settings)
    _check_registry(lake, inventory.versions)
    run = _Run(lake, settings, fields, now, inventory, needed(inventory, fields.keep_trainings, now))
    # Trainings first, because they need training sets, which need segments, which have features.
    folders = [run.trainings(), *run.training_sets_and_segments(), run.features()]
    digests = run.predictions()
    tables = run.tables()
    return MaintenanceResult(lake.root, fields, [*tables, *folders], digests, monotonic() - started)


def _check_registry(lake: Lake, versions: Iterable[Version]) -> None:
    """Check that the server has a champion of each model that the lake names.

    With a wrong server, the data of these champions would be removed.
    """
    champions: defaultdict[str, set[str]] = defaultdict(set)
    for row in lake.read(PROMOTIONS).select("model_name", "model_digest").distinct().collect():
        champions[row["model_name"]].add(row["model_digest"])
    registered = {version.digest for version in versions}
    missing = sorted(name for name, digests in champions.items() if digests.isdisjoint(registered))
    if missing:
        raise InputError(
            f"mlflow_tracking_uri: the server has no version of '{missing[0]}' that was a champion of the lake"
            f" '{lake.root}', so nothing was removed. Correct the setting, or delete the rows of a deleted model from"
            " the table promotions."
        )


@dataclass(frozen=True)
class _Run:
    """A run of the maintenance.

    Attributes:
        lake: The lake.
        settings: Settings of the MLflow server.
        fields: Parameters of the pipeline.
        now: Current time.
        inventory: Inventory of the lake at the start.
        needed: Data that the lake needed at the start.
    """

    lake: Lake
    settings: Settings
    fields: MaintenanceFields
    now: datetime
    inventory: Inventory
    needed: Needed

    def trainings(self) -> Area:
        """Remove the folders of trainings."""
        names = [training.name for training in self.inventory.trainings]
        unneeded = [name for name in names if name not in self.needed.trainings]
        usages = {name: _usage(self.lake.files, self._uri(RUNS_FOLDER, name)) for name in names}
        if not self.fields.dry_run:
            unneeded = [name for name in unneeded if self._remove_training(name)]
        return _area(RUNS_FOLDER, usages, unneeded)

    def _remove_training(self, name: str) -> bool:
        # A run may have repeated the training since. A running training holds the lock for days.
        if self._is_in_use(name):
            return False
        with self.lake.writer(training_lock(name)):
            if self._is_in_use(name):
                return False
            self.lake.check_held()
            # The result first: without it, the rest of a killed removal does not count as a finished training.
            self.lake.files.remove(self._uri(RUNS_FOLDER, name, RESULT_FILE))
            self.lake.files.remove_folder(self._uri(RUNS_FOLDER, name))
        return True

    def _is_in_use(self, training: str) -> bool:
        return is_in_use(read_training(self.lake.root, training, self.lake.files).written, self.now)

    def training_sets_and_segments(self) -> list[Area]:
        """Remove training sets, then unneeded segments and incomplete files."""
        files, dry_run = self.lake.files, self.fields.dry_run
        with ExitStack() as locks:
            if not dry_run:
                # A build holds this lock until its manifest names the segments.
                locks.enter_context(self.lake.writer(SEGMENTS.name))
            inventory, found = self._read_again()
            names = [each.name for each in inventory.training_sets]
            # The first build with near-duplicates reads the members of all earlier training sets.
            is_first = self.lake.read(GROUPS).isEmpty()
            training_sets = [] if is_first else [name for name in names if name not in found.training_sets]
            segments = [] if is_first else sorted(inventory.segments.keys() - found.segments)
            stored = files.find(self._uri(SEGMENTS_FOLDER))
            # Incomplete files of killed builds.
            parts = [
                name
                for name, status in stored.items()
                if not name.endswith(_SEGMENT) and not is_in_use(status.modification_time, self.now)
            ]
            of_training_sets = {name: _usage(files, self._uri(TRAINING_SETS_FOLDER, name)) for name in names}
            of_segments = {name.removesuffix(_SEGMENT): Usage(1, status.length) for name, status in stored.items()}
            if not dry_run:
                for name in training_sets:
                    self.lake.check_held()
                    files.remove(self._uri(TRAINING_SETS_FOLDER, name, MANIFEST))
                    files.remove_folder(self._uri(TRAINING_SETS_FOLDER, name))
                self._remove_segments(segments)
                for name in parts:
                    self.lake.check_held()
                    files.remove(self._uri(SEGMENTS_FOLDER, name))
        return [
            _area(TRAINING_SETS_FOLDER, of_training_sets, training_sets),
            _area(SEGMENTS_FOLDER, of_segments, [*segments, *parts]),
        ]

    def _remove_segments(self, names: list[str]) -> None:
        if not names:
            return
        rows = frame(self.lake.spark, [(name,) for name in names], "name STRING")
        self.lake.merge(SEGMENTS, rows, lambda builder: builder.whenMatchedDelete())
        for name in names:
            self.lake.check_held()
            self.lake.files.remove(self._uri(SEGMENTS_FOLDER, name + _SEGMENT))

    def features(self) -> Area:
        """Remove features. A training that needs them after all computes them again."""
        stored = list_features(self.lake.root, self.lake.files)
        # The inventory comes after the features: features of a training set that is built later count as in use.
        inventory, found = self._read_again()
        fitted = [each.fitted for each in inventory.training_sets if each.name in found.training_sets]
        unneeded = select_unused(stored, [each for each in fitted if each], self.now, IN_USE)
        if not self.fields.dry_run:
            remove_features(self.lake.root, unneeded, self.lake.files)
        usages = {f"{each.key}/{each.segment}": Usage(each.files, each.bytes) for each in stored}
        return _area(FEATURES_FOLDER, usages, [f"{each.key}/{each.segment}" for each in unneeded])

    def predictions(self) -> dict[str, frozenset[str]]:
        """Remove predictions, and return the digests of their models by registered model."""
        searched = read_searched(self.lake.root, self.lake.files)
        removable = removable_digests(self.inventory, self.fields.keep_trainings)
        removable = {name: digests - searched for name, digests in removable.items()}
        stored = partitions(self.lake, PREDICTIONS)
        found = {name: digests & stored for name, digests in removable.items() if digests & stored}
        if self.fields.dry_run:
            return found
        return {name: self._remove_predictions(name, digests) for name, digests in found.items()}

    def _remove_predictions(self, model_name: str, digests: frozenset[str]) -> frozenset[str]:
        # While the locks are held, nobody can promote one of these versions, so no task starts to score with one.
        with self.lake.writer(lock_name(model_name)), self.lake.writer(PREDICTIONS.name):
            now = Inventory((), (), {}, read_versions(self.settings))
            removed = digests & removable_digests(now, self.fields.keep_trainings).get(model_name, frozenset())
            # A scoring run may have ended since the first read.
            removed -= read_searched(self.lake.root, self.lake.files)
            if removed:
                self.lake.delete(PREDICTIONS, F.col("model_digest").isin(sorted(removed)))
        return removed

    def tables(self) -> list[Area]:
        """Compact each table, and remove the files that it does not need."""
        # An interrupted ingest may still add images to a day.
        today = settled_until(self.lake.root, self.lake.files).date()
        days = self.fields.retention_days
        areas = []
        for table in TABLES:
            before = table_usage(self.lake, table)
            small = small_files(self.lake, table, today if table is IMAGES else None)
            if self.fields.dry_run:
                after = before - vacuumable(self.lake, table, days)
            else:
                compact(self.lake, table, [each.partition for each in small])
                vacuum(self.lake, table, days)
                after = table_usage(self.lake, table)
            print(f"progress: {table.name}: {before.files:,} files before, {after.files:,} after", flush=True)
            areas.append(Area(table.name, before, after, small=sum(each.files for each in small)))
        return areas

    def _read_again(self) -> tuple[Inventory, Needed]:
        """Read the inventory again, and return it with the needed data."""
        inventory = read_inventory(self.lake.root, self.lake.files, self.settings)
        return inventory, needed(inventory, self.fields.keep_trainings, self.now)

    def _uri(self, *names: str) -> str:
        return uri.join(self.lake.root, *names)


def _area(name: str, usages: dict[str, Usage], removed: Iterable[str]) -> Area:
    """Return the area of a folder.

    Args:
        name: Name of the folder.
        usages: Files of each item before.
        removed: Names of the removed items.
    """
    removed = list(removed)
    before = sum(usages.values(), Usage())
    after = before - sum((usages[each] for each in removed), Usage())
    return Area(name, before, after, len(removed), len(usages) - len(removed))


def _usage(files: Files, folder: str) -> Usage:
    statuses = files.find(folder).values()
    return Usage(len(statuses), sum(status.length for status in statuses))

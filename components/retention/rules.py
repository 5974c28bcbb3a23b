"""The retention rules for trainings, training sets, segments and predictions.

They depend on an inventory and a time only. They read and remove nothing.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

# A run may still use what was written within this time. A task may wait a day for a node and run for two days, three
# times, and the tasks before it take their time, too.
IN_USE = timedelta(days=14)


@dataclass(frozen=True)
class Training:
    """A training, as its folder in the lake describes it.

    Attributes:
        name: Name of the folder.
        written: Time of the last write, in UTC. A running training renews its heartbeat.
        training_set: Id of the training set; empty if unknown.
        run_id: Id of the MLflow run; empty if none was made.
    """

    name: str
    written: datetime
    training_set: str
    run_id: str


@dataclass(frozen=True)
class StoredTrainingSet:
    """A training set, or the rest of an incomplete build or removal.

    Attributes:
        name: Id of the training set, which is the name of its folder.
        written: Time of the last write, in UTC. A build that finds an equal training set writes its manifest again.
        is_complete: Whether it has a manifest.
        segments: Names of its segments.
        fitted: Names of the segments with training and validation images.
    """

    name: str
    written: datetime
    is_complete: bool
    segments: frozenset[str]
    fitted: frozenset[str]


@dataclass(frozen=True)
class Version:
    """A version of a registered model.

    Attributes:
        model_name: Name of the registered model.
        number: Number of the version.
        digest: SHA-256 of its SavedModel; empty if the registry has none.
        run_id: MLflow run that trained it.
        training_set: Id of its training set; empty if the registry has none.
        is_needed: Whether it is the champion, the challenger, or a former champion that a rollback can restore.
    """

    model_name: str
    number: int
    digest: str
    run_id: str
    training_set: str
    is_needed: bool


@dataclass(frozen=True)
class Inventory:
    """The data of a lake that the retention rules cover.

    Attributes:
        trainings: The trainings.
        training_sets: The training sets.
        segments: Time of the last write of each segment's file, in UTC.
        versions: The versions of all registered models.
    """

    trainings: Collection[Training]
    training_sets: Collection[StoredTrainingSet]
    segments: Mapping[str, datetime]
    versions: Collection[Version]


@dataclass(frozen=True)
class Needed:
    """The data that a lake needs.

    Attributes:
        trainings: Names of trainings.
        training_sets: Names of training sets.
        segments: Names of segments.
        digests: Digests of models.
    """

    trainings: frozenset[str]
    training_sets: frozenset[str]
    segments: frozenset[str]
    digests: frozenset[str]


class _Dated(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def written(self) -> datetime: ...


_AnyDated = TypeVar("_AnyDated", bound=_Dated)


def needed(inventory: Inventory, keep: int, now: datetime) -> Needed:
    """Return the data that a lake needs. Everything else may be removed.

    - Needed versions of each registered model: the champion, the challenger, the former champions that a rollback can
      restore, and the newest ones.
    - Needed trainings: the newest ones, those of needed versions, and those that may be in use.
    - Needed training sets: the newest ones, those of needed versions and trainings, and those that may be in use.
    - Needed segments: those of needed training sets, and those that may be in use.

    Args:
        inventory: Inventory of the lake.
        keep: Number of the newest versions, trainings and training sets, from 1.
        now: Current time.
    """
    versions = _needed_versions(inventory.versions, keep)
    runs = {version.run_id for version in versions} - {""}
    trainings = _newest_or_in_use(inventory.trainings, keep, now)
    trainings += [training for training in inventory.trainings if training.run_id in runs]
    sources = {training.training_set for training in trainings} | {version.training_set for version in versions}
    training_sets = _newest_or_in_use([each for each in inventory.training_sets if each.is_complete], keep, now)
    training_sets += [each for each in inventory.training_sets if each.name in sources or is_in_use(each.written, now)]
    of_training_sets = {segment for each in training_sets for segment in each.segments}
    in_use = {name for name, written in inventory.segments.items() if is_in_use(written, now)}
    return Needed(
        frozenset(training.name for training in trainings),
        frozenset(each.name for each in training_sets),
        frozenset(of_training_sets | in_use),
        frozenset(version.digest for version in versions) - {""},
    )


def removable_digests(inventory: Inventory, keep: int) -> dict[str, frozenset[str]]:
    """Return the digests of models whose predictions may be removed, by model name.

    Digests that the registry does not name are left out: their model may be in another registry, or not registered yet.

    Args:
        inventory: Inventory of the lake.
        keep: Number of the newest versions of each model that are needed.
    """
    needed_digests = {version.digest for version in _needed_versions(inventory.versions, keep)} | {""}
    removable: dict[str, set[str]] = {}
    for version in inventory.versions:
        if version.digest not in needed_digests:
            removable.setdefault(version.model_name, set()).add(version.digest)
    return {model_name: frozenset(digests) for model_name, digests in removable.items()}


def is_in_use(written: datetime, now: datetime) -> bool:
    """Return whether a run may still use what was written at a time.

    Args:
        written: Time of the last write.
        now: Current time.
    """
    return now - written < IN_USE


def _needed_versions(versions: Collection[Version], keep: int) -> list[Version]:
    found = []
    for model_name in {version.model_name for version in versions}:
        newest_first = sorted(
            (version for version in versions if version.model_name == model_name),
            key=lambda version: version.number,
            reverse=True,
        )
        found += [version for place, version in enumerate(newest_first) if version.is_needed or place < keep]
    return found


def _newest_or_in_use(items: Iterable[_AnyDated], keep: int, now: datetime) -> list[_AnyDated]:
    newest_first = sorted(items, key=lambda item: (item.written, item.name), reverse=True)
    return [item for place, item in enumerate(newest_first) if place < keep or is_in_use(item.written, now)]

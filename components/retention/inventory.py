"""Read the inventory of a lake: trainings, training sets, segments, versions."""

import json
from datetime import UTC, datetime
from typing import ClassVar

from pydantic import BaseModel

from components.errors import InputError
from components.registry.champion import restorable_versions
from components.registry.model_registry import ModelRegistry, registered_models
from components.registry.tags import TRAINING_SET_URI_TAG
from components.retention.rules import Inventory, StoredTrainingSet, Training, Version
from components.settings import Settings
from components.storage import uri
from components.storage.files import Files
from components.storage.notes import read_note
from components.training_set.features import TRAINING_SETS_FOLDER
from components.training_set.manifest import MANIFEST, SEGMENTS_FOLDER, SplitName, TrainingSet
from components.training_set.trainings import REQUEST_FILE, RUN_FILE, RUNS_FOLDER

_FITTED = (SplitName.TRAIN, SplitName.VALIDATION)
_SUFFIX = ".parquet"
# Time of the last write in a folder without files. Only local folders can be empty.
_NEVER = datetime.min.replace(tzinfo=UTC)


def read_inventory(lake: str, files: Files, settings: Settings) -> Inventory:
    """Return the inventory of a lake.

    Args:
        lake: Root URI of the lake.
        files: Access to the lake.
        settings: Settings that name the MLflow server.
    """
    return Inventory(
        read_trainings(lake, files),
        read_training_sets(lake, files),
        read_segments(lake, files),
        read_versions(settings),
    )


def read_trainings(lake: str, files: Files) -> list[Training]:
    """Return the trainings of a lake.

    Args:
        lake: Root URI of the lake.
        files: Access to the lake.
    """
    folder = uri.join(lake, RUNS_FOLDER)
    return [read_training(lake, name, files) for name in files.list_names(folder)]


def read_training(lake: str, name: str, files: Files) -> Training:
    """Return a training of a lake.

    Args:
        lake: Root URI of the lake.
        name: Name of the training's folder.
        files: Access to the lake.
    """
    folder = uri.join(lake, RUNS_FOLDER, name)
    training_set = _read_field(uri.join(folder, REQUEST_FILE), "training_set", files)
    run_id = _read_field(uri.join(folder, RUN_FILE), "run_id", files)
    return Training(name, _written(folder, files), _name(training_set), run_id)


def read_training_sets(lake: str, files: Files) -> list[StoredTrainingSet]:
    """Return the training sets of a lake.

    Args:
        lake: Root URI of the lake.
        files: Access to the lake.
    """
    folder = uri.join(lake, TRAINING_SETS_FOLDER)
    return [_read_training_set(uri.join(folder, name), files) for name in files.list_names(folder)]


def read_segments(lake: str, files: Files) -> dict[str, datetime]:
    """Return when each segment's file was last written, by the segment's name.

    Args:
        lake: Root URI of the lake.
        files: Access to the lake.
    """
    found = files.find(uri.join(lake, SEGMENTS_FOLDER))
    return {
        name.removesuffix(_SUFFIX): status.modification_time for name, status in found.items() if name.endswith(_SUFFIX)
    }


def read_versions(settings: Settings) -> list[Version]:
    """Return the versions of all registered models: a lake may serve several.

    Args:
        settings: Settings that name the MLflow server.
    """
    tracking = settings.required("mlflow_tracking_uri")
    registries = [ModelRegistry(tracking, name) for name in registered_models(tracking)]
    return [version for registry in registries for version in read_versions_of(registry)]


def read_versions_of(registry: ModelRegistry) -> list[Version]:
    """Return the versions of a registered model.

    Args:
        registry: The registry of the model.
    """
    restorable = restorable_versions(registry)
    return [
        Version(
            registry.model_name,
            int(version.version),
            version.digest,
            version.run_id,
            _name(version.tags.get(TRAINING_SET_URI_TAG, "")),
            version.version in restorable,
        )
        for version in registry.versions()
    ]


class _Searches(BaseModel):
    searched: tuple[str, ...] = ()


class _ScoringNote(BaseModel):
    """The note of score_images, reduced to the models that have scored all images."""

    NAME: ClassVar[str] = "score_images"

    models: dict[str, _Searches] = {}


def read_searched(lake: str, files: Files) -> set[str]:
    """Return the digests of models that have scored all images.

    If such a model is promoted again, scoring does not repeat its predictions.

    Args:
        lake: Root URI of the lake.
        files: Access to the lake.
    """
    note = read_note(lake, _ScoringNote.NAME, _ScoringNote, files) or _ScoringNote()
    return {digest for model in note.models.values() for digest in model.searched}


def _read_training_set(folder: str, files: Files) -> StoredTrainingSet:
    written = _written(folder, files)
    if not files.exists(uri.join(folder, MANIFEST)):
        return StoredTrainingSet(_name(folder), written, False, frozenset(), frozenset())
    try:
        made = TrainingSet.read(folder, files)
    except InputError:
        # A training set of an earlier release has no segments. Its members show what a model has learned.
        return StoredTrainingSet(_name(folder), written, True, frozenset(), frozenset())
    fitted = [segment for split in _FITTED for segment in made.segments_of(split)]
    segments, of_fitted = (frozenset(segment.name for segment in each) for each in (made.segments, fitted))
    return StoredTrainingSet(_name(folder), written, True, segments, of_fitted)


def _written(folder: str, files: Files) -> datetime:
    return max((status.modification_time for status in files.find(folder).values()), default=_NEVER)


def _read_field(file: str, name: str, files: Files) -> str:
    """Return a text of a JSON file; empty if the file does not exist."""
    try:
        return str(json.loads(files.read_text(file)).get(name, ""))
    except FileNotFoundError:
        return ""


def _name(address: str) -> str:
    return address.rstrip("/").rpartition("/")[2]

"""Compare the labels that a model has learned with the labels in the lake."""

from pyspark.sql import DataFrame

from components.errors import InputError
from components.lake import Lake
from components.registry.model_registry import ModelRegistry, RegisteredVersion
from components.registry.tags import TRAINING_SET_URI_TAG
from components.storage import uri
from components.training_set.groups import with_groups
from components.training_set.manifest import MEMBERS
from components.training_set.members import read_members
from components.training_set.membership import labeled_images

_LEARNED = ("content_sha256", "label")


def count_new_labels(lake: Lake, model: RegisteredVersion | None) -> int:
    """Count the labels in the lake that a model has not learned.

    A label is new if the model's training set lacks the image's content, or has it with another label. Only images that
    would be members of a training set built now count.

    Args:
        lake: The lake.
        model: Model version; None counts every label as new.

    Raises:
        InputError: The model's training set was deleted.
    """
    learned = _members(lake, model)
    current = with_groups(lake, labeled_images(lake)).where("reason IS NULL").select(*_LEARNED)
    new = current if learned is None else current.join(learned.select(*_LEARNED), list(_LEARNED), "left_anti")
    return int(new.count())


def check_training_set(lake: Lake, model: RegisteredVersion | None) -> None:
    """Check that new labels can be counted against a model's training set.

    Args:
        lake: The lake.
        model: Model version; None needs no training set.

    Raises:
        InputError: The model's training set was deleted.
    """
    if model and _members_uri(model) and not _has_members(lake, model):
        raise InputError(
            f"training_set: '{model.tags[TRAINING_SET_URI_TAG]}', which version {model.version} of '{model.name}'"
            " learned, is gone, so new labels can't be counted. Restore the folder, or run the pipeline training and"
            " promote its model."
        )


def has_challenger_learned_all(lake: Lake, registry: ModelRegistry) -> bool:
    """Return whether a challenger other than the champion has learned all labels.

    Training again would then repeat that challenger. If its training set was deleted, it counts as no challenger.
    """
    challenger = registry.challenger()
    if challenger is None or challenger == registry.champion() or not _has_members(lake, challenger):
        return False
    return count_new_labels(lake, challenger) == 0


def count_trained_images(lake: Lake, model: RegisteredVersion) -> dict[int, int]:
    """Count the images of a model's training set by class id; empty if it was deleted."""
    if not _has_members(lake, model):
        return {}
    members = read_members(lake.spark, _members_uri(model))
    return {row["label"]: row["count"] for row in members.groupBy("label").count().collect()}


def _members(lake: Lake, model: RegisteredVersion | None) -> DataFrame | None:
    if model is None or not _members_uri(model):
        return None
    check_training_set(lake, model)
    return read_members(lake.spark, _members_uri(model))


def _has_members(lake: Lake, model: RegisteredVersion) -> bool:
    members = _members_uri(model)
    return bool(members) and lake.files.exists(members)


def _members_uri(model: RegisteredVersion) -> str:
    """Return the URI of the members of a model's training set; empty if the model names no training set."""
    training_set = model.tags.get(TRAINING_SET_URI_TAG)
    return uri.join(training_set, MEMBERS) if training_set else ""

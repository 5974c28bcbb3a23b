"""Whether there is enough to learn from: what the champion's training set lacks of the labels there are by now."""

from pyspark.sql import DataFrame

from components.build_training_set.build import labelled_images
from components.build_training_set.training_set import MEMBERS
from components.lake import Lake
from components.register_model.registry import TRAINING_SET_URI_TAG, ModelRegistry, RegisteredVersion
from components.storage import uri

_LEARNED = ("content_sha256", "label")


def count_new_labels(lake: Lake, model: RegisteredVersion | None) -> int:
    """Count the images that a training set of now would have, and that of a model lacks or has with another label.

    Args:
        lake: The lake.
        model: A version of the model; None if there is none, and everything is new.
    """
    known = _members(lake, model)
    current = labelled_images(lake).where("reason IS NULL").select(*_LEARNED)
    new = current if known is None else current.join(known, list(_LEARNED), "left_anti")
    return int(new.count())


def is_known_to_challenger(lake: Lake, registry: ModelRegistry) -> bool:
    """Tell whether a challenger that is not the champion has learned all labels: another one would be like it."""
    challenger = registry.challenger()
    return challenger is not None and challenger != registry.champion() and count_new_labels(lake, challenger) == 0


def _members(lake: Lake, model: RegisteredVersion | None) -> DataFrame | None:
    training_set = model.tags.get(TRAINING_SET_URI_TAG) if model else None
    return lake.spark.read.parquet(uri.join(training_set, MEMBERS)).select(*_LEARNED) if training_set else None

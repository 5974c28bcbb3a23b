"""Whether there is enough to learn from: what the champion's training set lacks of the labels there are by now."""

from pyspark.sql import DataFrame

from components.build_training_set.build import labelled_images
from components.build_training_set.training_set import MEMBERS
from components.lake import Lake
from components.register_model.registry import TRAINING_SET_URI_TAG, RegisteredVersion
from components.storage import uri

_LEARNED = ("content_sha256", "label")


def count_new_labels(lake: Lake, champion: RegisteredVersion | None) -> int:
    """Count the images that a training set of now would have, and that of the champion lacks or has with another label.

    Args:
        lake: The lake.
        champion: The model that scores; None if there is none, and everything is new.
    """
    known = _members(lake, champion)
    current = labelled_images(lake).where("reason IS NULL").select(*_LEARNED)
    new = current if known is None else current.join(known, list(_LEARNED), "left_anti")
    return int(new.count())


def _members(lake: Lake, champion: RegisteredVersion | None) -> DataFrame | None:
    training_set = champion.tags.get(TRAINING_SET_URI_TAG) if champion else None
    return lake.spark.read.parquet(uri.join(training_set, MEMBERS)).select(*_LEARNED) if training_set else None

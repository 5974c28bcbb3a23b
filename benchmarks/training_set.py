"""Training sets to measure with."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from components.training_set.manifest import SplitName, TrainingSet
from tests.support import training_set_factory

_CLASSES = (1, 2)


def make_training_set(folder: Path, images: Mapping[SplitName, Sequence[bytes]], files: int) -> TrainingSet:
    """Write a training set whose images have two classes in turn.

    Args:
        folder: Folder of the training set.
        images: JPEG files by split.
        files: Number of Parquet files of each split. Each has one row group.
    """
    labeled = {
        split: [(content, _CLASSES[number % len(_CLASSES)]) for number, content in enumerate(members)]
        for split, members in images.items()
    }
    return training_set_factory.make_training_set(folder, labeled, files, name=folder.name)

"""Training sets to measure with."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from components.training_set.manifest import SplitName, TrainingSet
from tests.support import training_set_factory

_CLASSES = (1, 2)


def make_training_set(
    folder: Path, images: Mapping[SplitName, Sequence[bytes]], rows: int, earlier: TrainingSet | None = None
) -> TrainingSet:
    """Write a training set whose images have two classes in turn, with one segment for each split.

    Args:
        folder: Folder of the training set.
        images: JPEG files by split.
        rows: Number of rows in a row group.
        earlier: Training set whose segments and members the new one also has; None starts from scratch.
    """
    labeled = {
        split: [(content, _CLASSES[number % len(_CLASSES)]) for number, content in enumerate(members)]
        for split, members in images.items()
    }
    return training_set_factory.make_training_set(folder, labeled, rows=rows, name=folder.name, earlier=earlier)

"""Feeds of ranks without Horovod. It runs in the trainer environment.

Usage: `python -m tests.support.ranks.feed_probe TRAINING_SET_URI GROWN_TRAINING_SET_URI FOLDER`. The grown training
set has the images of the first one, and more. The results go to `found.json` in the folder.
"""

import json
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow import keras

from components.storage.files import Files
from components.train_classifier.rank import row_groups
from components.train_classifier.rank.features import FeatureFeed, FeatureSource
from components.train_classifier.rank.feed import ImageFeed
from components.train_classifier.rank.shards import Shard
from components.training_set.manifest import SplitName, TrainingSet

SIZE = 32
SEED = 5
EPOCHS = 4
BATCH = 8


def no_wait() -> None:
    """Wait for no other rank."""


class CountingReader(row_groups._EpochReader):
    """A Petastorm reader that counts its instances."""

    opened = 0

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        CountingReader.opened += 1


def small_backbone() -> keras.Model:
    """Return a frozen network with three features: the mean of each color."""
    return keras.Sequential([keras.Input((SIZE, SIZE, 3)), keras.layers.GlobalAveragePooling2D()])


def image_feed(training_set: TrainingSet, rank: int = 0, ranks: int = 1) -> ImageFeed:
    """Return the training images of a rank."""
    shard = Shard.of(training_set, SplitName.TRAIN, rank, ranks, Files())
    return ImageFeed(shard, SIZE, class_ids(training_set), threads=1)


def feature_source(training_set: TrainingSet, backbone: keras.Model, folder: Path) -> FeatureSource:
    """Return a backbone whose features are in a folder."""
    return FeatureSource(backbone, folder.as_uri(), SIZE, class_ids(training_set), BATCH, threads=1)


def class_ids(training_set: TrainingSet) -> list[int]:
    """Return the class ids of a training set."""
    return [each.label for each in training_set.classes]


def digests(rows: Iterable[tuple[npt.NDArray[np.float32], Any, Any]]) -> list[str]:
    """Return a digest of each image."""
    return [
        f"{image.astype(np.float64).sum():.3f} {image[::7, ::5].astype(np.float64).std():.6f}" for image, *_ in rows
    ]


def passes(dataset: tf.data.Dataset, number: int) -> list[list[str]]:
    """Return the digests of the images of some passes."""
    return [digests(dataset.as_numpy_iterator()) for _ in range(number)]


def image_orders(training_set: TrainingSet) -> dict[str, Any]:
    """Return the orders of the images of a feed, of a resumed one and of one whose first epoch is interrupted."""
    opened = CountingReader.opened
    whole = passes(image_feed(training_set).dataset(SEED), EPOCHS)
    opened = CountingReader.opened - opened
    resumed = passes(image_feed(training_set).dataset(SEED, first_epoch=2), EPOCHS - 2)
    interrupted = image_feed(training_set).dataset(SEED)
    start = digests(islice(interrupted.as_numpy_iterator(), 3))
    return {
        "whole": whole,
        "opened": opened,
        "resumed": resumed,
        "interrupted": [start, *passes(interrupted, 1)],
        "unshuffled": passes(image_feed(training_set).dataset(), 2),
        "ranks": [passes(image_feed(training_set, rank, 5).dataset(SEED), 1)[0] for rank in range(5)],
    }


def feature_orders(training_set: TrainingSet, backbone: keras.Model, folder: Path) -> list[float]:
    """Return the largest difference between the features of a feed and those of its images, by epoch."""
    images = image_feed(training_set).dataset(SEED)
    shard = Shard.of(training_set, SplitName.TRAIN, 0, 1, Files())
    features = FeatureFeed(shard, feature_source(training_set, backbone, folder), no_wait).dataset(SEED)
    differences = []
    for _ in range(2):
        pairs = list(zip(images.as_numpy_iterator(), features.as_numpy_iterator(), strict=True))
        assert all(image[1] == feature[1] for image, feature in pairs), "the class indices differ"
        expected = backbone(np.stack([image[0] for image, _ in pairs])).numpy()
        differences.append(float(abs(expected - np.stack([feature[0] for _, feature in pairs])).max()))
    return differences


def computed(training_set: TrainingSet, backbone: keras.Model, folder: Path) -> int:
    """Return the number of training images whose features one rank computes."""
    shard = Shard.of(training_set, SplitName.TRAIN, 0, 1, Files())
    feed = FeatureFeed(shard, feature_source(training_set, backbone, folder), no_wait)
    feed.close()
    return feed.computed


def after_damage(training_set: TrainingSet, backbone: keras.Model, folder: Path) -> dict[str, Any]:
    """Damage two files of features, and return the numbers of images computed and whether the files are as before."""
    first, second, *_ = sorted(folder.glob("*/*.npy"))
    before = first.read_bytes(), second.read_bytes()
    first.write_bytes(before[0][:-1])
    np.save(second, np.zeros((1, 3), np.float32))
    number = computed(training_set, backbone, folder)
    return {"computed": number, "restored": (first.read_bytes(), second.read_bytes()) == before}


def three_ranks(training_set: TrainingSet, backbone: keras.Model, folder: Path) -> dict[str, Any]:
    """Return what three ranks compute and get, of a split with fewer row groups than ranks."""
    barrier = Barrier(3)

    def wait() -> None:
        barrier.wait()

    def make(rank: int) -> FeatureFeed:
        shard = Shard.of(training_set, SplitName.VALIDATION, rank, 3, Files())
        return FeatureFeed(shard, feature_source(training_set, backbone, folder), wait)

    with ThreadPoolExecutor(3) as pool:
        feeds = list(pool.map(make, range(3)))
    return {
        "computed": [feed.computed for feed in feeds],
        "images": [sum(1 for _ in feed.dataset()) for feed in feeds],
    }


def main(training_set_uri: str, grown_uri: str, folder: Path) -> None:
    """Run all checks, and write the results."""
    row_groups._EpochReader = CountingReader  # type: ignore[assignment, misc]
    training_set, grown = (TrainingSet.read(each, Files()) for each in (training_set_uri, grown_uri))
    backbone = small_backbone()
    # Keras builds this function at the first call, which threads must not do at the same time.
    backbone.predict_on_batch(np.zeros((2, SIZE, SIZE, 3), np.float32))
    features = folder / "features"
    found = {
        "images": image_orders(training_set),
        "first": computed(training_set, backbone, features),
        "second": computed(training_set, backbone, features),
        "differences": feature_orders(training_set, backbone, features),
        "damage": after_damage(training_set, backbone, features),
        "grown": computed(grown, backbone, features),
        "three ranks": three_ranks(training_set, backbone, folder / "shared"),
    }
    (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))

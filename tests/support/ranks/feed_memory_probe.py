"""The memory of a rank's feed. It runs in the trainer environment.

Usage: `python -m tests.support.ranks.feed_memory_probe KIND TRAINING_SET_URI FEATURES_FOLDER`. KIND is `images` or
`features`. It prints the peak of RssAnon in an epoch, in MiB.
"""

import sys
import time
from pathlib import Path
from threading import Event, Thread

import numpy as np
import tensorflow as tf
from tensorflow import keras

from components.storage.files import Files
from components.train_classifier.rank.feature_files import FeatureFiles
from components.train_classifier.rank.features import FeatureFeed, FeatureSource
from components.train_classifier.rank.feed import ImageFeed
from components.train_classifier.rank.shards import Shard
from components.train_classifier.rank.steps import Feed, in_steps
from components.training_set.manifest import SplitName, TrainingSet

SIZE = 32
# As many as Xception has.
FEATURES = 2048
BATCH = 32


class Peak:
    """The highest RssAnon of this process while the block runs, in MiB."""

    def __enter__(self) -> "Peak":
        self.mib = 0.0
        self._stopped = Event()
        self._thread = Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            lines = Path("/proc/self/status").read_text().splitlines()
            (kib,) = (int(line.split()[1]) for line in lines if line.startswith("RssAnon"))
            self.mib = max(self.mib, kib / 1024)
            time.sleep(0.01)


def make_feed(kind: str, shard: Shard, class_ids: list[int], folder: str) -> Feed:
    """Return a feed of images, or of features that are in the lake already."""
    if kind == "images":
        return ImageFeed(shard, SIZE, class_ids, threads=1)
    backbone = keras.Sequential([keras.Input((SIZE, SIZE, 3)), keras.layers.Flatten(), keras.layers.Dense(FEATURES)])
    stored = FeatureFiles(folder, FEATURES, Files())
    for row_group in shard.row_groups:
        stored.write(row_group, np.ones((row_group.rows, FEATURES), np.float32))
    feed = FeatureFeed(shard, FeatureSource(backbone, folder, SIZE, class_ids, BATCH, threads=1), lambda: None)
    assert feed.computed == 0
    return feed


def main(kind: str, training_set_uri: str, folder: str) -> None:
    """Read an epoch, and print the peak."""
    training_set = TrainingSet.read(training_set_uri, Files())
    images = training_set.counts[SplitName.TRAIN]
    with Peak() as peak:
        shard = Shard.of(training_set, SplitName.TRAIN, 0, 1, Files())
        feed = make_feed(kind, shard, [each.label for each in training_set.classes], folder)
        batches = in_steps(feed.dataset(seed=0), images, -(-images // BATCH), BATCH)
        total = sum(float(tf.reduce_sum(weights)) for _, _, weights in batches)
        feed.close()
    assert total == images
    print(peak.mib)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The images of a rank as a TensorFlow dataset. Petastorm reads them from segments."""

from collections.abc import Iterator, Sequence
from itertools import count

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.preprocessing.preprocess import preprocess
from components.train_classifier.rank.order import Block, block_order, shuffled
from components.train_classifier.rank.row_groups import RowGroupReader
from components.train_classifier.rank.shards import Labels, Shard
from components.training_set.manifest import NO_MEMBER


class ImageFeed:
    """The images of a shard as tensors.

    Args:
        shard: The shard.
        size: Side of the model's input, in pixels.
        class_ids: Class ids in the order of the model's dense indices.
        threads: Number of threads that decode images.
    """

    def __init__(self, shard: Shard, size: int, class_ids: Sequence[int], threads: int) -> None:
        self._shard = shard
        self._size = size
        self._class_ids = class_ids
        self._threads = threads
        self._readers: list[RowGroupReader] = []

    def dataset(self, seed: int | None = None, first_epoch: int = 0) -> tf.data.Dataset:
        """Return the shard's images (float32, 0..255), dense class indices (int32) and weights of 1 (float32).

        Each pass over the dataset is an epoch, with each image once.

        Args:
            seed: Seed of the order of the images, from 0; None keeps the order of the segments.
            first_epoch: Number of the first pass's epoch, from 0. Each epoch has another order.
        """
        row_groups = self._shard.row_groups
        reader = RowGroupReader(self._shard, row_groups, lambda epoch: block_order(len(row_groups), seed, epoch))
        self._readers.append(reader)
        epochs = count(first_epoch)

        def members(epoch: int) -> Iterator[Block]:
            for rows in reader.read(epoch):
                labels = self._shard.labels_of(rows.row_group)
                own = labels != NO_MEMBER
                indices = dense_indices(labels[own], self._class_ids)
                yield rows.contents[own], indices, np.ones(len(indices), np.float32)

        def blocks() -> Iterator[Block]:
            epoch = next(epochs)
            if row_groups:
                yield from shuffled(members(epoch), seed, epoch)

        signature = tuple(tf.TensorSpec((None,), dtype) for dtype in (tf.string, tf.int32, tf.float32))
        dataset = tf.data.Dataset.from_generator(blocks, output_signature=signature).unbatch()
        dataset = dataset.map(
            lambda content, index, weight: (preprocess(content, self._size), index, weight),
            num_parallel_calls=self._threads,
            deterministic=True,
        )
        return dataset.with_options(reader_options(self._threads))

    def close(self) -> None:
        """Stop to read ahead."""
        for reader in self._readers:
            reader.close()


def reader_options(threads: int) -> tf.data.Options:
    """Return the options of a dataset that uses only its rank's threads."""
    options = tf.data.Options()
    options.threading.private_threadpool_size = threads
    # TensorFlow 2.21's tuner sleeps 10 ms, 20 ms, 40 ms and so on, up to a minute. The end of a pass often waits for
    # the tuner: passes of 0.65 s took twice as long. These datasets have nothing to tune.
    options.autotune.enabled = False
    return options


def dense_indices(labels: Labels, class_ids: Sequence[int]) -> npt.NDArray[np.int32]:
    """Return the dense indices of class ids.

    Args:
        labels: Class ids.
        class_ids: Class ids in the order of the dense indices.

    Raises:
        ValueError: `class_ids` lacks a label.
    """
    sorted_ids = np.asarray(class_ids)
    order = np.argsort(sorted_ids)
    positions = np.minimum(np.searchsorted(sorted_ids[order], labels), len(sorted_ids) - 1)
    indices = order[positions]
    if not np.array_equal(sorted_ids[indices], labels):
        unknown = sorted(set(labels.tolist()) - set(class_ids))
        raise ValueError(f"training_set: the manifest does not list the labels {unknown} that its members have")
    return indices.astype(np.int32)

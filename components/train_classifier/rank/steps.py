"""A rank's data, divided into steps.

All ranks have the same number of steps, because a rank with more steps would wait for the others forever.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import tensorflow as tf

from components.training_set.manifest import SplitName


class Feed(Protocol):
    """The images or features of one split that a rank reads."""

    def dataset(self, seed: int | None = None, first_epoch: int = 0) -> tf.data.Dataset:
        """Return an input, the dense index of its class, and the weight 1 for each image.

        Each pass over the dataset is an epoch, with each image once.

        Args:
            seed: Seed of the order of the images, from 0; None keeps the order of the segments.
            first_epoch: Number of the first pass's epoch, from 0. Each epoch has another order.
        """

    def close(self) -> None:
        """Close files and end threads."""


@dataclass
class Feeds:
    """The data of a rank, in the same number of steps on all ranks.

    Attributes:
        feeds: Images or features by split.
        images: Number of this rank's images by split.
        steps: Number of steps by split, which suffices for the rank with the most images.
        batch_size: Number of rows in a step.
        seed: Seed of the order of the training images.
    """

    feeds: Mapping[SplitName, Feed]
    images: Mapping[SplitName, int]
    steps: Mapping[SplitName, int]
    batch_size: int
    seed: int

    def training(self, epochs_done: int) -> tf.data.Dataset:
        """Return the training data.

        Its order depends on the seed and the epoch only.

        Args:
            epochs_done: Number of epochs that earlier starts completed.
        """
        rows = self.feeds[SplitName.TRAIN].dataset(self.seed, epochs_done)
        return self._in_steps(rows, SplitName.TRAIN)

    def validation(self) -> tf.data.Dataset:
        """Return the validation data, in the order of the segments."""
        return self._in_steps(self.feeds[SplitName.VALIDATION].dataset(), SplitName.VALIDATION)

    def close(self) -> None:
        """Close files and end threads."""
        for feed in self.feeds.values():
            feed.close()

    def _in_steps(self, rows: tf.data.Dataset, split: SplitName) -> tf.data.Dataset:
        return in_steps(rows, self.images[split], self.steps[split], self.batch_size)


def in_steps(dataset: tf.data.Dataset, images: int, steps: int, batch_size: int) -> tf.data.Dataset:
    """Return exactly `steps` full batches of inputs, class indices and weights.

    Args:
        dataset: An input, a class index and a weight for each image.
        images: Number of images.
        steps: Number of batches. Padding rows of weight 0 fill the last ones.
        batch_size: Number of rows in a batch.
    """
    rows, padding = steps * batch_size, steps * batch_size - images
    blank = tuple(tf.zeros(spec.shape, spec.dtype) for spec in dataset.element_spec)
    padded = dataset.concatenate(tf.data.Dataset.from_tensors(blank).repeat(padding))
    # A feed with too few or too many images fails here. Otherwise images would be skipped or repeated.
    exact = padded.apply(tf.data.experimental.assert_cardinality(rows))
    # Parallel calls also prepare batches ahead. `batch` is last: MLflow's autologging reads the batch size there.
    return exact.batch(batch_size, drop_remainder=True, num_parallel_calls=2, deterministic=True)

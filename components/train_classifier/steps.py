"""A rank's datasets cut into steps: the same number for all ranks, or those that have more would wait for ever."""

import sys
from dataclasses import dataclass

import tensorflow as tf

from components.build_training_set.training_set import SplitName
from components.train_classifier.features import FeatureFeed
from components.train_classifier.feed import ImageFeed


@dataclass
class Feeds:
    """The rank's datasets, in as many steps as every other rank's.

    Attributes:
        feeds: Images or features by split.
        images: How many this rank has.
        steps: How many steps the rank with the most images needs.
        batch_size: Rows of a step.
        seed: Of the order of the training images.
    """

    feeds: dict[SplitName, ImageFeed | FeatureFeed]
    images: dict[SplitName, int]
    steps: dict[SplitName, int]
    batch_size: int
    seed: int

    def training(self, epochs_done: int) -> tf.data.Dataset:
        """Return the training images, in another order in each epoch, the same whether or not there was a restart."""
        epochs = iter(range(epochs_done, sys.maxsize))
        rows = self.feeds[SplitName.TRAIN].dataset(lambda: self.seed + 1 + next(epochs))
        return self._in_steps(rows, SplitName.TRAIN)

    def validation(self) -> tf.data.Dataset:
        """Return the validation images, in the order of their files."""
        return self._in_steps(self.feeds[SplitName.VALIDATION].dataset(), SplitName.VALIDATION)

    def _in_steps(self, rows: tf.data.Dataset, split: SplitName) -> tf.data.Dataset:
        return in_steps(rows, self.images[split], self.steps[split], self.batch_size)


def in_steps(dataset: tf.data.Dataset, images: int, steps: int, batch_size: int) -> tf.data.Dataset:
    """Return exactly `steps` full batches of inputs, indices and weights.

    Args:
        dataset: Inputs and indices.
        images: How many there are; each has weight 1.
        steps: Batches to make, as many as the rank with the most images needs. What is missing is filled up by rows of
            weight 0.
        batch_size: Rows of a batch.
    """
    rows, padding = steps * batch_size, steps * batch_size - images
    weighted = dataset.map(lambda inputs, index: (inputs, index, 1.0))
    blank = tuple(tf.zeros(spec.shape, spec.dtype) for spec in weighted.element_spec)
    weighted = weighted.concatenate(tf.data.Dataset.from_tensors(blank).repeat(padding))
    # A feed that is short of images or has too many fails here, rather than count some twice or never.
    exact = weighted.apply(tf.data.experimental.assert_cardinality(rows))
    # In parallel calls, which also makes batches ahead. MLflow's autologging looks for a batch size in the last stage.
    return exact.batch(batch_size, drop_remainder=True, num_parallel_calls=2, deterministic=True)

"""Trainings of the small network that simulate several ranks in one process.

They have the batches and the learning rate of several ranks.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import count

import horovod.tensorflow as hvd
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow import keras

from components.storage.files import Files
from components.train_classifier.rank.backbones import build_backbone, build_head
from components.train_classifier.rank.callbacks import AverageOverRanks, ProgressRecorder
from components.train_classifier.rank.checkpoint import Progress
from components.train_classifier.rank.feed import ImageFeed
from components.train_classifier.rank.order import Block
from components.train_classifier.rank.shards import Shard
from components.train_classifier.rank.state import TrainingState, WarmUp
from components.train_classifier.rank.steps import Feeds
from components.train_classifier.request import TrainingRequest
from components.training_set.manifest import SplitName, TrainingSet

_SPLITS = (SplitName.TRAIN, SplitName.VALIDATION)


def contenders(training_set: str, ranks: list[int], seeds: int) -> dict[str, Callable[[], float]]:
    """Return a training for each number of ranks and each seed.

    Its name is e.g. `8 0`: eight ranks, seed 0. It returns the accuracy on the validation images after the last epoch,
    0..1.

    Args:
        training_set: URI of the training set.
        ranks: Numbers of ranks.
        seeds: Number of seeds.
    """
    hvd.init()
    members = TrainingSet.read(training_set, Files())
    request = TrainingRequest.make(
        Files(), training_set=training_set, backbone="small", learning_rate=0.002,
        mlflow_tracking_uri="unused", experiment="unused", run_directory="unused", features_directory="unused",
    )  # fmt: skip
    feeds = {split: _DecodedImages(members, split, request.image_size) for split in _SPLITS}
    return {
        f"{number} {seed}": partial(_accuracy, members, request, feeds, number, seed)
        for number in ranks
        for seed in range(seeds)
    }


class _DecodedImages:
    """The images of a split, decoded by `ImageFeed` once for all trainings."""

    def __init__(self, members: TrainingSet, split: SplitName, size: int) -> None:
        shard = Shard.of(members, split, rank=0, ranks=1, files=Files())
        class_ids = [image_class.label for image_class in members.classes]
        rows = list(ImageFeed(shard, size, class_ids, threads=1).dataset().as_numpy_iterator())
        self._images: npt.NDArray[np.float32] = np.stack([image for image, *_ in rows])
        self._indices: npt.NDArray[np.int32] = np.stack([index for _, index, _ in rows])

    def dataset(self, seed: int | None = None, first_epoch: int = 0) -> tf.data.Dataset:
        """Return the images like `ImageFeed.dataset`.

        A seed shuffles all images together, not the images of a few row groups.
        """
        epochs = count(first_epoch)

        def rows() -> Iterator[Block]:
            epoch = next(epochs)
            order = np.arange(len(self._indices))
            if seed is not None:
                order = np.random.default_rng((seed, epoch)).permutation(order)
            yield self._images[order], self._indices[order], np.ones(len(order), np.float32)

        images = tf.TensorSpec((None, *self._images.shape[1:]))
        signature = images, tf.TensorSpec((None,), tf.int32), tf.TensorSpec((None,), tf.float32)
        return tf.data.Dataset.from_generator(rows, output_signature=signature).unbatch()

    def close(self) -> None:
        """Keep the images for the next training."""


def _accuracy(
    members: TrainingSet,
    request: TrainingRequest,
    decoded: Mapping[SplitName, "_DecodedImages"],
    ranks: int,
    seed: int,
) -> float:
    batch_size = request.batch_size * ranks
    steps = {split: -(-members.counts[split] // batch_size) for split in _SPLITS}
    keras.utils.set_random_seed(seed)
    backbone = build_backbone(request, Files())
    head = build_head(backbone.output_shape[-1], len(members.classes), request.dropout)
    model = keras.Sequential([backbone, head])
    schedule = WarmUp(steps[SplitName.TRAIN] * request.epochs, ranks, request.learning_rate)
    TrainingState(model, schedule)
    feeds = Feeds(decoded, members.counts, steps, batch_size, seed)
    progress = Progress()
    model.fit(
        feeds.training(0),
        validation_data=feeds.validation(),
        epochs=request.epochs,
        callbacks=[AverageOverRanks(), ProgressRecorder(progress, [], patience=0)],
        verbose=0,
    )
    return progress.history[-1].val_accuracy

"""Contenders that train the head of a frozen Xception.

Ours trains on features that are computed once. The reference evaluates the whole network in each epoch. The retraining
finds the features of an earlier, smaller training set.
"""

import os
from collections.abc import Callable, Mapping
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any

import horovod.tensorflow as hvd
from tensorflow import keras

from benchmarks.timing import seconds
from components.storage import uri
from components.storage.files import Files
from components.train_classifier.rank.backbones import build_backbone, build_head
from components.train_classifier.rank.callbacks import AverageOverRanks, ProgressRecorder
from components.train_classifier.rank.checkpoint import Checkpoint, Progress
from components.train_classifier.rank.features import FeatureFeed, FeatureSource
from components.train_classifier.rank.feed import ImageFeed
from components.train_classifier.rank.shards import Shard
from components.train_classifier.rank.state import TrainingState, WarmUp
from components.train_classifier.rank.steps import in_steps
from components.train_classifier.request import TrainingRequest
from components.training_set.manifest import SplitName, TrainingSet

_EPOCHS = 12
# Few suffice: each epoch costs the same, and the cost of the start is small in comparison.
_REFERENCE_EPOCHS = 2
_SPLITS = (SplitName.TRAIN, SplitName.VALIDATION)


def contenders(training_set: str, grown: str, size: int, batch: int) -> dict[str, Callable[[], dict[str, Any]]]:
    """Return the contenders, each as a function that trains from the same start.

    A contender returns its duration in seconds and its losses by epoch. It trains without dropout and in the order of
    the files. Otherwise the loss curves could not be compared.

    Args:
        training_set: URI of the training set.
        grown: URI of a training set with the same images and some more.
        size: Side of the model's input, in pixels.
        batch: Number of images in a step.
    """
    hvd.init()
    members = TrainingSet.read(training_set, Files())
    request = TrainingRequest.make(
        Files(), training_set=training_set, weights="none", image_size=size, batch_size=batch, epochs=_EPOCHS,
        dropout=0, mlflow_tracking_uri="unused", experiment="unused", run_directory="unused",
        features_directory="unused",
    )  # fmt: skip
    keras.utils.set_random_seed(request.seed)
    backbone = build_backbone(request, Files())
    _normalize(backbone, members, request)
    # One for each contender: a training compiles its model.
    head, retrained, end_of_whole = (
        build_head(backbone.output_shape[-1], len(members.classes), request.dropout) for _ in range(3)
    )
    for copy in (retrained, end_of_whole):
        copy.set_weights(head.get_weights())
    whole = keras.Sequential([backbone, end_of_whole])
    steps = _EPOCHS * -(-members.counts[SplitName.TRAIN] // batch)
    schedule = WarmUp(steps, request.ranks, request.learning_rate)
    ours = _Training(head, schedule, lambda folder: _features(members, backbone, request, folder))
    reference = _Training(whole, schedule, lambda _: _images(members, request))
    for training in (ours, reference):
        training.run(epochs=1, steps=1)
    more = TrainingSet.read(grown, Files())
    retraining = _Training(retrained, schedule, lambda folder: _features(more, backbone, request, folder))

    def retrain() -> dict[str, Any]:
        with TemporaryDirectory() as folder:
            _features(members, backbone, request, folder)
            return retraining.run(_EPOCHS, folder=folder)

    return {
        "ours": partial(ours.run, _EPOCHS),
        "reference": partial(reference.run, _REFERENCE_EPOCHS),
        "retraining": retrain,
    }


def _normalize(backbone: keras.Model, members: TrainingSet, request: TrainingRequest) -> None:
    """Set the averages of batch normalization to those of one batch of images.

    With the initial averages, random weights yield features near 0. Then the loss would not change, and any two loss
    curves would be equal.
    """
    (network,) = (layer for layer in backbone.layers if isinstance(layer, keras.Model))
    layers = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in layers]
    network.trainable = True
    for layer in layers:
        layer.momentum = 0.0
    images, _, _ = next(iter(_images(members, request)[SplitName.TRAIN]))
    network(images / 127.5 - 1, training=True)
    network.trainable = False
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum


class _Training:
    """A training that can be run several times from the same start.

    Args:
        model: The model.
        schedule: Learning rate by step.
        feeds: Function that returns the data by split. It gets the folder of the features.
    """

    def __init__(self, model: keras.Model, schedule: WarmUp, feeds: Callable[[str], Mapping[SplitName, Any]]) -> None:
        self._model = model
        self._state = TrainingState(model, schedule)
        self._start = Checkpoint(variables=self._state.values())
        self._feeds = feeds

    def run(self, epochs: int, steps: int | None = None, folder: str = "") -> dict[str, Any]:
        """Train, and return the duration in seconds and the losses by epoch.

        Args:
            epochs: Number of epochs.
            steps: Number of steps of an epoch; None trains on all images.
            folder: Folder of the features; an empty one if it is empty.
        """
        if not folder:
            with TemporaryDirectory() as empty:
                return self.run(epochs, steps, empty)
        progress = Progress()
        self._state.restore(self._start)

        def train() -> None:
            feeds = self._feeds(folder)
            self._model.fit(
                feeds[SplitName.TRAIN],
                validation_data=feeds[SplitName.VALIDATION],
                epochs=epochs,
                steps_per_epoch=steps,
                validation_steps=steps,
                callbacks=[AverageOverRanks(), ProgressRecorder(progress, [], patience=0)],
                verbose=0,
            )

        duration = seconds(train)
        return {"seconds": duration, "losses": [epoch.loss for epoch in progress.history]}


def _features(
    members: TrainingSet, backbone: keras.Model, request: TrainingRequest, folder: str
) -> Mapping[SplitName, Any]:
    """Compute the features that a folder lacks, and return the feeds."""
    source = FeatureSource(
        backbone,
        uri.normalize(folder, "features"),
        request.image_size,
        [image_class.label for image_class in members.classes],
        request.batch_size,
        _cores(),
    )
    return {
        split: _in_steps(
            FeatureFeed(Shard.of(members, split, 0, 1, Files()), source, lambda: None).dataset(),
            members,
            split,
            request,
        )
        for split in _SPLITS
    }


def _images(members: TrainingSet, request: TrainingRequest) -> Mapping[SplitName, Any]:
    class_ids = [image_class.label for image_class in members.classes]
    return {
        split: _in_steps(
            ImageFeed(Shard.of(members, split, 0, 1, Files()), request.image_size, class_ids, _cores()).dataset(),
            members,
            split,
            request,
        )
        for split in _SPLITS
    }


def _in_steps(dataset: Any, members: TrainingSet, split: SplitName, request: TrainingRequest) -> Any:
    images = members.counts[split]
    return in_steps(dataset, images, -(-images // request.batch_size), request.batch_size)


def _cores() -> int:
    return len(os.sched_getaffinity(0))

"""What happens at the end of each epoch: average over ranks, look for a NaN, stop early, checkpoint.

All ranks come to the same averages, so they all stop at the same epoch without asking each other.
"""

import math
import time
from collections.abc import Callable
from typing import Any

import horovod.tensorflow as hvd
import tensorflow as tf
from tensorflow import keras

from components.errors import InputError
from components.train_classifier.checkpoint import Arrays, Progress
from components.train_classifier.request import EpochMetrics

Logs = dict[str, float]


class CountedImages(keras.metrics.Metric):  # type: ignore[misc]
    """The sum of the rows' weights: how many images were counted."""

    def __init__(self, name: str = "images") -> None:
        super().__init__(name=name, dtype=tf.float64)
        self._sum = self.add_weight(name="sum", initializer="zeros")

    def update_state(self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: tf.Tensor) -> None:
        """Add a batch."""
        self._sum.assign_add(tf.reduce_sum(tf.cast(sample_weight, tf.float64)))

    def result(self) -> tf.Tensor:
        """Return the sum."""
        return self._sum


def weighted_metrics() -> list[keras.metrics.Metric]:
    """Return the metrics that `AverageOverRanks` takes, to be compiled into the model."""
    return [
        # Keras' own `loss` divides by all rows, those of weight 0 too.
        keras.metrics.SparseCategoricalCrossentropy(name="cross_entropy", from_logits=True),
        keras.metrics.SparseCategoricalAccuracy(name="accuracy"),
        CountedImages(),
    ]


class AverageOverRanks(keras.callbacks.Callback):  # type: ignore[misc]
    """Puts the averages over the images of all ranks in place of each rank's own, for the callbacks behind it."""

    def __init__(self) -> None:
        super().__init__()
        self._validation: Logs = {}

    def on_test_end(self, logs: Logs) -> None:
        """Average the validation, and keep it for the end of the epoch, where Keras comes with the rank's own again."""
        averages = _average(logs, "validation")
        logs.clear()
        logs |= {name: averages[name] for name in ("loss", "accuracy")}
        self._validation = {f"val_{name}": averages[name] for name in averages}

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Average the epoch."""
        averages = _average(logs, "training")
        logs.clear()
        logs |= averages | self._validation


def _average(logs: Logs, name: str) -> Logs:
    """Return loss, accuracy and the number of images over all ranks."""
    images = logs["images"]
    # Whole numbers, so that rounding can't make one of two equal accuracies the better one.
    right = round(images * logs["accuracy"])
    own = tf.constant([images * logs["cross_entropy"], right, images], tf.float64)
    loss, right, total = hvd.allreduce(own, op=hvd.Sum, name=name).numpy()
    return {"loss": loss / total, "accuracy": right / total, "images": total}


class KeepProgress(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the history and the best weights, ends a training that gets no better.

    Args:
        progress: The epochs before this start; it is added to.
        best_weights: The model's weights after the best of them.
        patience: Epochs without a better one before training is finished.
    """

    def __init__(self, progress: Progress, best_weights: Arrays, patience: int) -> None:
        super().__init__()
        self.progress = progress
        self.best_weights = best_weights
        self._patience = patience
        self._started = 0.0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Note the time."""
        self._started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Judge the epoch."""
        number = epoch + 1
        if not all(math.isfinite(logs[name]) for name in ("loss", "val_loss")):
            raise InputError(
                f"learning_rate: the loss is not a number any more after epoch {number}. Give a smaller one."
            )
        metrics = EpochMetrics(
            epoch=number,
            loss=logs["loss"],
            accuracy=logs["accuracy"],
            val_loss=logs["val_loss"],
            val_accuracy=logs["val_accuracy"],
            images=round(logs.pop("images")),
            val_images=round(logs.pop("val_images")),
            seconds=time.monotonic() - self._started,
        )
        if self.progress.add(metrics, self._patience):
            self.best_weights = self.model.get_weights()
        if self.progress.finished:
            self.model.stop_training = True


class AfterEpoch(keras.callbacks.Callback):  # type: ignore[misc]
    """Calls a function after each epoch.

    Args:
        function: Called without arguments.
    """

    def __init__(self, function: Callable[[], Any]) -> None:
        super().__init__()
        self._function = function

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Call it."""
        self._function()

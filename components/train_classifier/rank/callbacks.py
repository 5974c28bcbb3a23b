"""Callbacks of a training.

At the end of each epoch they average metrics over ranks, detect NaN, record progress and stop training early. All ranks
compute the same averages, so they stop at the same epoch without further communication.
"""

import math
import time
from collections.abc import Callable
from typing import Any

import horovod.tensorflow as hvd
import tensorflow as tf
from tensorflow import keras

from components.errors import InputError
from components.train_classifier.rank.checkpoint import Arrays, Progress
from components.train_classifier.rank.liveness import Liveness
from components.train_classifier.request import EpochMetrics

Logs = dict[str, float]


class ImageCount(keras.metrics.Metric):  # type: ignore[misc]
    """The number of images, which is the sum of the rows' weights. Padding rows have weight 0."""

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
    """Return the metrics to compile the model with, which `AverageOverRanks` reads."""
    return [
        # Keras divides its own `loss` by all rows, including padding of weight 0.
        keras.metrics.SparseCategoricalCrossentropy(name="cross_entropy", from_logits=True),
        keras.metrics.SparseCategoricalAccuracy(name="accuracy"),
        ImageCount(),
    ]


class AverageOverRanks(keras.callbacks.Callback):  # type: ignore[misc]
    """Replaces each rank's metrics with the averages over the images of all ranks.

    Later callbacks see the averages.
    """

    def __init__(self) -> None:
        super().__init__()
        self._validation: Logs = {}

    def on_test_end(self, logs: Logs) -> None:
        """Average the validation metrics, and store them for `on_epoch_end`.

        Keras passes the rank's own metrics to `on_epoch_end` again.
        """
        averages = _average(logs, "validation")
        logs.clear()
        logs |= {name: averages[name] for name in ("loss", "accuracy")}
        self._validation = {f"val_{name}": averages[name] for name in averages}

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Average the training metrics, and add the averages of the validation."""
        averages = _average(logs, "training")
        logs.clear()
        logs |= averages | self._validation


def _average(logs: Logs, name: str) -> Logs:
    """Return loss, accuracy and the number of images over all ranks."""
    images = logs["images"]
    # An integer, because rounding errors could make one of two equal accuracies look better.
    correct = round(images * logs["accuracy"])
    own = tf.constant([images * logs["cross_entropy"], correct, images], tf.float64)
    loss, correct, total = hvd.allreduce(own, op=hvd.Sum, name=name).numpy()
    return {"loss": loss / total, "accuracy": correct / total, "images": total}


class ProgressRecorder(keras.callbacks.Callback):  # type: ignore[misc]
    """Records the history and the best weights, and stops training early.

    Args:
        progress: Epochs that earlier starts trained. New epochs are appended to it.
        best_weights: The model's weights after the best of these epochs.
        patience: Epochs without improvement after which training stops; 0 never stops it.
        warm_up: Number of epochs at the start that patience does not count.
    """

    def __init__(self, progress: Progress, best_weights: Arrays, patience: int, warm_up: int = 0) -> None:
        super().__init__()
        self.progress = progress
        self.best_weights = best_weights
        self._patience = patience
        self._warm_up = warm_up
        self._started = 0.0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Start the epoch's clock."""
        self._started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Record the epoch, and stop training if it is finished.

        Raises:
            InputError: The loss is NaN or infinite.
        """
        number = epoch + 1
        if not all(math.isfinite(logs[name]) for name in ("loss", "val_loss")):
            raise InputError(
                f"learning_rate: the loss is NaN or infinite after epoch {number}. Use a smaller learning rate."
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
        if self.progress.add(metrics, self._patience, self._warm_up):
            self.best_weights = self.model.get_weights()
        if self.progress.finished:
            self.model.stop_training = True


class AfterEpoch(keras.callbacks.Callback):  # type: ignore[misc]
    """Calls a function at the end of each epoch.

    Args:
        function: A function without parameters.
    """

    def __init__(self, function: Callable[[], Any]) -> None:
        super().__init__()
        self._function = function

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Call the function."""
        self._function()


class ReportSteps(keras.callbacks.Callback):  # type: ignore[misc]
    """Reports each step of training and validation.

    Args:
        liveness: The rank's liveness.
    """

    # Without this, Keras would copy the metrics from the GPU after each step.
    _supports_tf_logs = True

    def __init__(self, liveness: Liveness) -> None:
        super().__init__()
        self._liveness = liveness
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        """Store the number of the epoch."""
        self._epoch = epoch + 1

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        """Report a step of the training."""
        self._liveness.report(f"epoch {self._epoch}, step {batch + 1}")

    def on_test_batch_end(self, batch: int, logs: object = None) -> None:
        """Report a step of the validation."""
        self._liveness.report(f"epoch {self._epoch}, validation step {batch + 1}")

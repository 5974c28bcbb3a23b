"""The liveness lines of a rank, from which the launcher sees that the training makes progress.

The launcher ends a training whose ranks print none of them for the stall timeout; see `RankOutput`.
"""

import time

from tensorflow import keras

from components.train_classifier.rank_output import LIVENESS

# Interval of the lines, as a fraction of the stall timeout.
_INTERVAL = 1 / 8
_MAXIMUM_INTERVAL_SECONDS = 15.0


class Liveness:
    """Prints where this rank is, if it moves.

    The thread that does the work prints the lines, so a rank that hangs prints none.

    Args:
        stall_timeout_seconds: Time without a line, in seconds, after which the launcher ends the training.
    """

    def __init__(self, stall_timeout_seconds: float) -> None:
        self._interval = min(_MAXIMUM_INTERVAL_SECONDS, stall_timeout_seconds * _INTERVAL)
        self._printed_at = -self._interval

    def begin(self, phase: str) -> None:
        """Print that a phase begins.

        Args:
            phase: Name of the phase, e.g. `weights`.
        """
        self._printed_at = time.monotonic()
        print(f"{LIVENESS}{phase}", flush=True)

    def report(self, position: str) -> None:
        """Print the position within a phase, unless the last line is recent.

        Args:
            position: Position of the rank, e.g. `epoch 2/12, step 40`.
        """
        if time.monotonic() - self._printed_at >= self._interval:
            self.begin(position)


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

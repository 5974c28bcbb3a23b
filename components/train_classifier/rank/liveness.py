"""The liveness lines of a rank, from which the launcher sees that the training makes progress.

The launcher ends a training whose ranks print none of them for the stall timeout; see `RankOutput`.
"""

import time

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

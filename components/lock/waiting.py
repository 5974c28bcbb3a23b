"""Progress lines of a task that waits for a lock, so that it does not seem to hang."""

from datetime import UTC, datetime, timedelta
from time import monotonic

REPEAT_SECONDS = 30.0


class WaitingNotice:
    """A line about the holder of a lock, printed at once and then every 30 s.

    Args:
        name: The lock.
        timeout_seconds: Maximum time that the task waits from now.
        repeat_seconds: Time between two lines.
    """

    def __init__(self, name: str, timeout_seconds: float, repeat_seconds: float = REPEAT_SECONDS) -> None:
        self._name = name
        self._end = datetime.now(UTC) + timedelta(seconds=timeout_seconds)
        self._repeat = repeat_seconds
        self._printed: float | None = None

    def show(self, holder: str) -> None:
        """Print the line, unless the last one was printed less than `repeat_seconds` ago.

        Args:
            holder: One or more sentences about the holder.
        """
        now = monotonic()
        if self._printed is not None and now - self._printed < self._repeat:
            return
        self._printed = now
        end = f"{self._end:%Y-%m-%d %H:%M:%S} UTC"
        print(f"progress: waiting for '{self._name}' of the lake until {end} at most. {holder}", flush=True)

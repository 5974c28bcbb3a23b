"""A relay of a pod's log that returns each line once, despite lost connections."""

import math
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime

# Overlap of two requests, because clocks differ and lines arrive late.
_OVERLAP_SECONDS = 5
# Time for which returned lines are stored after responses no longer contain them, in case a late response does.
_RETENTION_SECONDS = 60

_LINE = re.compile(r"(?P<timestamp>[-\dT:]{19}(\.\d+)?(Z|[-+]\d\d:\d\d)) (?P<text>.*)")


class LogRelay:
    """Reads the new lines of a pod's log.

    It polls the last seconds of the log. A streaming connection would break when the API server restarts, when a proxy
    times out, or when the pod prints nothing for an hour. A line is identified by its timestamp and its text. Its
    position does not suffice, because a container writes two streams, and lines of one stream can follow newer lines of
    the other.

    Args:
        read: Function that takes a maximum age in seconds, or None for all lines. It returns the log with a timestamp
            before each line, or None if the log is unavailable now.

    Attributes:
        is_available: Whether the last call could read the log.
    """

    def __init__(self, read: Callable[[int | None], str | None]) -> None:
        self.is_available = False
        self._read = read
        self._last_read: float | None = None
        self._seen: Counter[tuple[str, str]] = Counter()

    def new_lines(self) -> Iterator[str]:
        """Yield the lines that were printed since the last call."""
        now = time.monotonic()
        text = self._read(None if self._last_read is None else math.ceil(now - self._last_read) + _OVERLAP_SECONDS)
        self.is_available = text is not None
        if text is None:
            return
        self._last_read = now
        response: Counter[tuple[str, str]] = Counter()
        for match in filter(None, map(_LINE.fullmatch, text.split("\n"))):
            line = (match["timestamp"], match["text"])
            response[line] += 1
            if response[line] > self._seen[line]:
                self._seen[line] = response[line]
                yield match["text"]
        if response:
            self._drop(min(_seconds(timestamp) for timestamp, _ in response) - _RETENTION_SECONDS)

    def _drop(self, before: float) -> None:
        """Drop the stored lines from before a time, in seconds since the epoch."""
        for line in [line for line in self._seen if _seconds(line[0]) < before]:
            del self._seen[line]


def _seconds(timestamp: str) -> float:
    # Kubernetes writes nanoseconds, which `datetime` can't parse.
    return datetime.fromisoformat(re.sub(r"\.\d+", "", timestamp)).timestamp()

"""A pod's log, line by line, each line once, whatever happens to the connection."""

import math
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime

# What is asked for again each time, because clocks and the log's own delays differ.
_OVERLAP_SECONDS = 5
# How long lines are known that no answer has any more: one that was late does not bring them again.
_KEPT_SECONDS = 60

_LINE = re.compile(r"(?P<moment>[-\dT:]{19}(\.\d+)?(Z|[-+]\d\d:\d\d)) (?P<said>.*)")


class LogRelay:
    """Reads the lines that are new.

    It asks for the last seconds again and again rather than hold a connection, which a restart of the API server, a
    proxy's timeout or an hour of silence would break. The lines' own times tell which of them are known; not their
    order, because a container's two streams are written side by side, and a line may be after one that is younger.

    Args:
        read: Returns the log of the last so many seconds, or all of it, each line after its time; or None if it can't
            be had now.
    """

    def __init__(self, read: Callable[[int | None], str | None]) -> None:
        self._read = read
        self._asked: float | None = None
        self._known: Counter[tuple[str, str]] = Counter()

    def new_lines(self) -> Iterator[str]:
        """Yield the lines that came since the last call."""
        now = time.monotonic()
        text = self._read(None if self._asked is None else math.ceil(now - self._asked) + _OVERLAP_SECONDS)
        if text is None:
            return
        self._asked = now
        answer: Counter[tuple[str, str]] = Counter()
        for match in filter(None, map(_LINE.fullmatch, text.split("\n"))):
            line = (match["moment"], match["said"])
            answer[line] += 1
            if answer[line] > self._known[line]:
                self._known[line] = answer[line]
                yield match["said"]
        if answer:
            self._forget(min(_seconds(moment) for moment, _ in answer) - _KEPT_SECONDS)

    def _forget(self, before: float) -> None:
        """Forget the lines before a time."""
        for line in [line for line in self._known if _seconds(line[0]) < before]:
            del self._known[line]


def _seconds(moment: str) -> float:
    # `datetime` ends at microseconds, Kubernetes at nanoseconds.
    return datetime.fromisoformat(re.sub(r"\.\d+", "", moment)).timestamp()

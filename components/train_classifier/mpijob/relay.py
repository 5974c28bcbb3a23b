"""A pod's log, line by line, each line once, whatever happens to the connection."""

import math
import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime

# What is asked for again each time, because clocks and the log's own delays differ.
_OVERLAP_SECONDS = 5

_LINE = re.compile(r"(?P<seconds>[-\dT:]{19})(\.(?P<fraction>\d+))?(?P<zone>Z|[-+]\d\d:\d\d) (?P<said>.*)")

_BEFORE_ALL = (0, 0)


class LogRelay:
    """Reads the lines that are new.

    It asks for the last seconds again and again rather than hold a connection, which a restart of the API server, a
    proxy's timeout or an hour of silence would break. The lines' own times tell which of them are known.

    Args:
        read: Returns the log of the last so many seconds, or all of it, each line after its time; or None if it can't
            be had now.
    """

    def __init__(self, read: Callable[[int | None], str | None]) -> None:
        self._read = read
        self._asked: float | None = None
        self._newest = _BEFORE_ALL
        self._known_of_newest = 0

    def new_lines(self) -> Iterator[str]:
        """Yield the lines that came since the last call."""
        now = time.monotonic()
        text = self._read(None if self._asked is None else math.ceil(now - self._asked) + _OVERLAP_SECONDS)
        if text is None:
            return
        self._asked = now
        of_newest = 0
        for line in filter(None, map(_LINE.fullmatch, text.split("\n"))):
            moment = _nanoseconds(line)
            if moment < self._newest:
                continue
            if moment > self._newest:
                self._newest, self._known_of_newest, of_newest = moment, 0, 0
            of_newest += 1
            if of_newest > self._known_of_newest:
                self._known_of_newest = of_newest
                yield line["said"]


def _nanoseconds(line: re.Match[str]) -> tuple[int, int]:
    """Return a line's time in seconds and nanoseconds: `datetime` ends at microseconds."""
    seconds = datetime.fromisoformat(f"{line['seconds']}{line['zone']}").timestamp()
    return int(seconds), int(f"{line['fraction'] or '':0<9}")

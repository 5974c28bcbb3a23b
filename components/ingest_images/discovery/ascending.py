"""Find out from the names of a listing where the next incremental listing has to start."""

import re
from collections import deque
from datetime import date, timedelta
from typing import Protocol

# Zero-padded, so that the order of names is the order of dates.
_FORMATS = (
    "year=%Y/month=%m/day=%d/",
    "date=%Y-%m-%d/",
    "%Y/%m/%d/",
    "%Y-%m-%d/",
    "%Y%m%d/",
    "year=%Y/month=%m/",
    "%Y/%m/",
    "%Y-%m/",
)
_GROUPS = {"%Y": r"((?:19|20|21)\d\d)", "%m": r"(\d\d)", "%d": r"(\d\d)"}
# The rest may be e.g. a file of instructions beside the date folders.
_DATED_FRACTION = 0.99
_OVERLAP_FILES = 10_000


class Ascending(Protocol):
    """Names that ascend with time."""

    def add(self, name: str) -> None:
        """Add the name of a listed file."""

    def start(self) -> str:
        """Return the relative path from which to list next time; empty if the names do not ascend."""


class DateFolders:
    """Folders whose names begin with dates, e.g. `2026/11/29/`, `2026-11-29/` or `year=2026/month=11/`.

    Args:
        today: The present date. A later folder than tomorrow's, e.g. of a wrong clock, does not move the start.
        overlap_days: Days before the newest folder from which to list.
    """

    def __init__(self, today: date, overlap_days: int) -> None:
        self._latest = today + timedelta(days=1)
        self._overlap = timedelta(days=overlap_days)
        self._formats = [_Format(each) for each in _FORMATS]
        self._count = 0

    def add(self, name: str) -> None:
        """Add the name of a listed file."""
        self._count += 1
        for index, each in enumerate(self._formats):
            if each.add(name, self._latest):
                if index:
                    # The next name has probably the same format.
                    self._formats.insert(0, self._formats.pop(index))
                return

    def start(self) -> str:
        """Return the newest folder less the overlap; empty if less than 99% of the files are in such folders."""
        most = max(self._formats, key=lambda each: each.count)
        if most.newest is None or most.count < _DATED_FRACTION * self._count:
            return ""
        return (most.newest - self._overlap).strftime(most.format)


class _Format:
    """The files in folders of one format."""

    def __init__(self, folder_format: str) -> None:
        self.format = folder_format
        self.count = 0
        self.newest: date | None = None
        self._pattern = re.compile(re.sub("%[Ymd]", lambda match: _GROUPS[match[0]], folder_format), re.ASCII)
        self._last_folder = ""

    def add(self, name: str, latest: date) -> bool:
        """Add a file, and return whether its folder has this format."""
        if self._last_folder and name.startswith(self._last_folder):
            self.count += 1
            return True
        match = self._pattern.match(name)
        if match is None:
            return False
        try:
            found = date(int(match[1]), int(match[2]), int(match[3]) if "%d" in self.format else 1)
        except ValueError:
            return False
        self._last_folder = match[0]
        self.count += 1
        if found <= latest and (self.newest is None or found > self.newest):
            self.newest = found
        return True


class AscendingNames:
    """Names of which the user states that they ascend with time, e.g. numbers of a sequence."""

    def __init__(self) -> None:
        self._names: deque[str] = deque(maxlen=_OVERLAP_FILES)

    def add(self, name: str) -> None:
        """Add the name of a listed file."""
        self._names.append(name)

    def start(self) -> str:
        """Return the name of the 10,000th file from the end; empty if there are fewer."""
        return self._names[0] if len(self._names) == _OVERLAP_FILES else ""

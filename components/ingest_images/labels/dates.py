"""Recognize folders that are parts of a date, e.g. `2026/11/29`, `2026-11-29` or `year=2026`."""

import re
from collections.abc import Mapping, Sequence
from enum import IntEnum
from types import MappingProxyType


class _Unit(IntEnum):
    """The finest unit of time that the folders down to this one state."""

    YEAR = 1
    MONTH = 2
    DAY = 3
    HOUR = 4
    MINUTE = 5


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.ASCII | re.IGNORECASE)


_YEAR = r"(?:19|20|21)\d\d"
_MONTH = "(?:0?[1-9]|1[0-2])"
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_HOUR = r"(?:[01]\d|2[0-3])"
_MINUTE = r"[0-5]\d"
_NAME = (
    "(?:january|february|march|april|may|june|july|august|september|october|november|december"
    "|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)"
)
_QUARTER = "q[1-4]"
_WEEK = r"w\d\d"
_BREAK = "[-_. ]"
_TIME = rf"(?:[-_. t]*{_HOUR}(?:[-_:.h]?{_MINUTE}(?:[-_:.m]?{_MINUTE}(?:\.\d+)?)?)?s?z?)?"

# Folders that need no folder above them.
_ALONE = (
    (_Unit.DAY, _pattern(rf"{_YEAR}(?P<s>{_BREAK}){_MONTH}(?P=s){_DAY}{_TIME}")),
    (_Unit.DAY, _pattern(rf"{_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]){_TIME}")),
    (_Unit.DAY, _pattern(rf"(?:{_DAY}(?P<s>{_BREAK}){_MONTH}|{_MONTH}(?P<t>{_BREAK}){_DAY}){_BREAK}{_YEAR}")),
    (_Unit.DAY, _pattern(rf"{_YEAR}{_BREAK}?{_WEEK}")),
    (_Unit.MONTH, _pattern(rf"{_YEAR}{_BREAK}(?:{_MONTH}|{_NAME}|{_QUARTER})")),
    (_Unit.MONTH, _pattern(rf"(?:{_MONTH}|{_NAME}|{_QUARTER}){_BREAK}{_YEAR}")),
    (_Unit.YEAR, _pattern(_YEAR)),
)
# Folders that continue the one above them, by its unit.
_BELOW: Mapping[_Unit, tuple[tuple[_Unit, re.Pattern[str]], ...]] = MappingProxyType(
    {
        _Unit.YEAR: (
            (_Unit.MONTH, _pattern(rf"{_MONTH}|(?:{_MONTH}{_BREAK})?{_NAME}|{_QUARTER}")),
            (_Unit.DAY, _pattern(_WEEK)),
        ),
        _Unit.MONTH: ((_Unit.DAY, _pattern(_DAY)),),
        # Hours and minutes have two digits: a digit may be a class.
        _Unit.DAY: ((_Unit.HOUR, _pattern(_HOUR)),),
        _Unit.HOUR: ((_Unit.MINUTE, _pattern(_MINUTE)),),
        _Unit.MINUTE: (),
    }
)
# Partitions, as Hive and Spark name them.
_PARTITION = _pattern(r"([a-z]+)=[qw]?\d[\d\-:_. tz%+a]*")
_PARTITION_UNITS = MappingProxyType(
    {"year": _Unit.YEAR, "y": _Unit.YEAR}
    | dict.fromkeys(("month", "m", "quarter"), _Unit.MONTH)
    | dict.fromkeys(("day", "d", "date", "dt", "ds", "week"), _Unit.DAY)
    | dict.fromkeys(("hour", "h"), _Unit.HOUR)
    | dict.fromkeys(("minute", "time", "timestamp"), _Unit.MINUTE)
)


def are_dates(folders: Sequence[str]) -> list[bool]:
    """Return for each folder of a path whether it is a date or part of one.

    A month, a day or an hour counts only directly below the folder of its year, month or day.

    Args:
        folders: Names, from the topmost.
    """
    found = []
    unit: _Unit | None = None
    for folder in folders:
        unit = _unit(folder.strip(), unit)
        found.append(unit is not None)
    return found


def _unit(folder: str, above: _Unit | None) -> _Unit | None:
    """Return the finest unit that a folder states; None if it is no part of a date.

    Args:
        folder: Name of the folder.
        above: Finest unit of the folder above it; None if that one is no part of a date.
    """
    if partition := _PARTITION.fullmatch(folder):
        return _PARTITION_UNITS.get(partition[1].lower())
    candidates = _ALONE if above is None else (*_BELOW[above], *_ALONE)
    return next((unit for unit, pattern in candidates if pattern.fullmatch(folder)), None)

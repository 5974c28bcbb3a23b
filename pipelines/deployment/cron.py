"""Cron expressions as the scheduler of Kubeflow Pipelines reads them: six fields, seconds first.

Its parser takes five fields too, and reads the first of them as the second all the same: what was meant for half past
two runs every hour. It also takes dates that never come, and then starts one run after the other.
"""

import re
from typing import NamedTuple

from components.errors import InputError

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LONGEST_MONTHS = dict(zip(range(1, 13), (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), strict=True))
_PART = re.compile(r"(?P<low>\*|\?|\w+)(-(?P<high>\w+))?(/(?P<step>\d+))?", re.ASCII)


class _Field(NamedTuple):
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()


_FIELDS = (
    _Field("second", 0, 59),
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 0, 6, _DAYS),
)


class Cron(NamedTuple):
    """The values that each field allows; days of the week count from Sunday, 0."""

    seconds: frozenset[int]
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]


def parse_cron(expression: str) -> Cron:
    """Return what a cron expression allows.

    Args:
        expression: Second, minute, hour, day of month, month and day of week.

    Raises:
        InputError: It has not six fields, a field is not a list of values, ranges and steps within its bounds, it names
            more than one second, or a date that never comes.
    """
    texts = expression.split()
    if len(texts) != len(_FIELDS):
        hint = f"Put the second first, as in '0 {expression}'." if len(texts) == 5 else "Write all six."
        raise InputError(
            f"cron: '{expression}' has {len(texts)} fields, and the scheduler reads second, minute, hour, day of month,"
            f" month, day of week. {hint}"
        )
    cron = Cron(*(_values(field, text, expression) for field, text in zip(_FIELDS, texts, strict=True)))
    if len(cron.seconds) > 1:
        raise InputError(
            f"cron: second '{texts[0]}' of '{expression}' starts more than one run a minute. Name one second, as in 0."
        )
    # The day of the month and the day of the week widen each other: only the first one alone can miss every month.
    if len(cron.weekdays) == 7 and min(cron.days) > max(_LONGEST_MONTHS[month] for month in cron.months):
        raise InputError(f"cron: no month of '{expression}' has a day {min(cron.days)}. Name a date that comes.")
    return cron


def _values(field: _Field, text: str, expression: str) -> frozenset[int]:
    values: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        low, high = _bounds(field, match) if match else (None, None)
        step = int(match["step"] or 1) if match else 0
        if low is None or high is None or not field.low <= low <= high <= field.high or step < 1:
            names = f" or {field.names[0].upper()}-{field.names[-1].upper()}" if field.names else ""
            raise InputError(
                f"cron: {field.name} '{text}' of '{expression}' is not allowed. Write *, or numbers"
                f" {field.low}-{field.high}{names}, as in 1,5 or 1-5 or */5."
            )
        values.update(range(low, high + 1, step))
    return frozenset(values)


def _bounds(field: _Field, match: re.Match[str]) -> tuple[int | None, int | None]:
    if match["low"] in ("*", "?"):
        return (field.low, field.high) if match["high"] is None else (None, None)
    low = _number(field, match["low"])
    if match["high"] is not None:
        return low, _number(field, match["high"])
    return low, field.high if match["step"] else low


def _number(field: _Field, text: str) -> int | None:
    if text.lower() in field.names:
        return field.names.index(text.lower()) + field.low
    return int(text) if text.isdecimal() else None

"""Cron expressions as the scheduler of Kubeflow Pipelines reads them: six fields, seconds first.

The scheduler's parser also accepts five fields, and takes the first one for the seconds: `30 2 * * *`, meant for 2:30,
runs every hour. It also accepts dates that never occur, and then starts one run after the other. This parser refuses
both.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from components.errors import InputError

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LONGEST_MONTHS = dict(zip(range(1, 13), (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), strict=True))
# The next 29 February is at most eight years away.
_LONGEST_DAYS = 8 * 366
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
    """The values that each field allows. Days of the week count from Sunday, 0."""

    seconds: frozenset[int]
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]


def parse_cron(expression: str) -> Cron:
    """Parse a cron expression.

    Args:
        expression: Second, minute, hour, day of month, month and day of week.

    Raises:
        InputError: The expression does not have six fields, a field is not a list of values, ranges and steps within
            its bounds, there is more than one second, or the date never occurs.
    """
    texts = expression.split()
    if len(texts) != len(_FIELDS):
        hint = f"Start with the second, e.g. '0 {expression}'." if len(texts) == 5 else "Give all six."
        raise InputError(
            f"cron: '{expression}' has {len(texts)} fields; expected second, minute, hour, day of month, month, day of"
            f" week. {hint}"
        )
    cron = Cron(*(_values(field, text, expression) for field, text in zip(_FIELDS, texts, strict=True)))
    if len(cron.seconds) > 1:
        raise InputError(
            f"cron: second '{texts[0]}' of '{expression}' starts more than one run a minute. Give one second, e.g. 0."
        )
    # If both days are restricted, a date has to match one of them only. So a date is impossible only if all days of the
    # week are allowed.
    if len(cron.weekdays) == 7 and min(cron.days) > max(_LONGEST_MONTHS[month] for month in cron.months):
        raise InputError(f"cron: no month of '{expression}' has a day {min(cron.days)}. Give a date that occurs.")
    return cron


def latest_before(cron: Cron, moment: datetime) -> datetime | None:
    """Return the last time before a moment at which a run was due; None if there is none in eight years.

    Args:
        cron: The parsed expression.
        moment: A time in UTC.
    """
    for days in range(_LONGEST_DAYS):
        day = (moment - timedelta(days=days)).date()
        if not _is_due_on(cron, day.month, day.day, day.isoweekday() % 7):
            continue
        times = [
            datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=UTC)
            for hour in cron.hours
            for minute in cron.minutes
            for second in cron.seconds
        ]
        if earlier := [time for time in times if time < moment]:
            return max(earlier)
    return None


def _is_due_on(cron: Cron, month: int, day: int, weekday: int) -> bool:
    is_day, is_weekday = day in cron.days, weekday in cron.weekdays
    # If both days are restricted, one of them is enough.
    restricted = len(cron.days) < 31 and len(cron.weekdays) < 7
    return month in cron.months and (is_day or is_weekday if restricted else is_day and is_weekday)


def _values(field: _Field, text: str, expression: str) -> frozenset[int]:
    values: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        low, high = _bounds(field, match) if match else (None, None)
        step = int(match["step"] or 1) if match else 0
        if low is None or high is None or not field.low <= low <= high <= field.high or step < 1:
            names = f" or {field.names[0].upper()}-{field.names[-1].upper()}" if field.names else ""
            raise InputError(
                f"cron: {field.name} '{text}' of '{expression}' is not allowed. Give *, or numbers"
                f" {field.low}-{field.high}{names}, e.g. 1,5 or 1-5 or */5."
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

"""Numbers as a reader wants them."""

import math
from collections.abc import Sequence
from numbers import Integral, Real

from components.intervals import Interval

_NOTHING = "\N{EN DASH}"
_DIGITS = 4


def is_number(value: object) -> bool:
    """Whether `value` is shown as a number: numpy's are, a bool is not."""
    return isinstance(value, Real) and not isinstance(value, bool)


def format_value(value: object) -> str:
    """Return a value as text: digits grouped, fractions with four significant digits, a dash for what is not there."""
    if value is None:
        return _NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Integral):
        return f"{int(value):,}"
    if isinstance(value, Real):
        number = float(value)
        if math.isnan(number):
            return _NOTHING
        return f"{number:,.0f}" if 1_000 <= abs(number) < 1e15 else f"{number:.{_DIGITS}g}"
    return str(value)


def format_column(values: Sequence[object]) -> list[str]:
    """Return the numbers of a column as text, all with the same decimals, so that they can be compared at a glance.

    There are as many decimals as the values need, but no more than give the largest one four significant digits.
    Numbers outside of what is written without an exponent, and values that are no numbers, are as `format_value` has
    them.
    """
    numbers = [float(value) for value in values if isinstance(value, Real) and math.isfinite(value)]
    largest = max(map(abs, numbers), default=0.0)
    if all(number.is_integer() for number in numbers) or not 1e-3 <= largest < 1e15:
        return [format_value(value) for value in values]
    limit = max(0, _DIGITS - 1 - math.floor(math.log10(largest)))
    decimals = next(each for each in range(limit + 1) if all(round(n, each) == round(n, limit) for n in numbers))
    return [
        # Zero is added because there is a negative one.
        f"{round(float(value), decimals) + 0.0:,.{decimals}f}"
        if isinstance(value, Real) and math.isfinite(value)
        else format_value(value)
        for value in values
    ]


def percent(share: float | None) -> float | None:
    """Return a share in percent, with a decimal, for a column that says so; None if there is none."""
    return None if share is None else round(100 * share, 1)


def percent_text(share: float) -> str:
    """Return a share as somebody gave it, as text in percent with no more decimals than it has: `95%`, `2.5%`."""
    return f"{100 * share:g}%"


def percent_range(interval: Interval | None) -> str | None:
    """Return an interval of shares as text, as in `80.7% to 86.1%`; None if there is none."""
    return None if interval is None else f"{interval.low:.1%} to {interval.high:.1%}"


def duration(seconds: float) -> str:
    """Return how long something took, with its unit: `8.3 s`, `12 min 5 s`, `3 h 20 min`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min"

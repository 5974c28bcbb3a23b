"""Numbers as text for readers."""

import math
from collections.abc import Sequence
from numbers import Integral, Real

from components.intervals import Interval

_MISSING = "\N{EN DASH}"
_DIGITS = 4


def is_number(value: object) -> bool:
    """Return whether a value is a number. Numpy's numbers count; booleans do not."""
    return isinstance(value, Real) and not isinstance(value, bool)


def format_value(value: object) -> str:
    """Format a value: grouped digits, four significant digits of a fraction, a dash for None."""
    if value is None:
        return _MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Integral):
        return f"{int(value):,}"
    if isinstance(value, Real):
        number = float(value)
        if math.isnan(number):
            return _MISSING
        return f"{number:,.0f}" if 1_000 <= abs(number) < 1e15 else f"{number:.{_DIGITS}g}"
    return str(value)


def format_column(values: Sequence[object]) -> list[str]:
    """Format a column of numbers with the same number of decimals.

    A column has as many decimals as its values need, but at most so many that the largest value has four significant
    digits. `format_value` formats columns that need an exponent, and values other than numbers.
    """
    numbers = [float(value) for value in values if isinstance(value, Real) and math.isfinite(value)]
    largest = max(map(abs, numbers), default=0.0)
    if all(number.is_integer() for number in numbers) or not 1e-3 <= largest < 1e15:
        return [format_value(value) for value in values]
    limit = max(0, _DIGITS - 1 - math.floor(math.log10(largest)))
    decimals = next(count for count in range(limit + 1) if all(round(n, count) == round(n, limit) for n in numbers))
    return [
        # Adding 0.0 turns -0.0 into 0.0.
        f"{round(float(value), decimals) + 0.0:,.{decimals}f}"
        if isinstance(value, Real) and math.isfinite(value)
        else format_value(value)
        for value in values
    ]


def percent(fraction: float | None) -> float | None:
    """Return a fraction in percent with one decimal, or None for None."""
    return None if fraction is None else round(100 * fraction, 1)


def percent_text(fraction: float) -> str:
    """Format a configured fraction without trailing zeros, e.g. `95%` or `2.5%`."""
    return f"{100 * fraction:g}%"


def percent_range(interval: Interval | None) -> str | None:
    """Format an interval of fractions, e.g. `80.7% to 86.1%`; None stays None."""
    return None if interval is None else f"{interval.low:.1%} to {interval.high:.1%}"


def duration(seconds: float) -> str:
    """Format a duration with its units: `8.3 s`, `12 min 5 s`, `3 h 20 min`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min"

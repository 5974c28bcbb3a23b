"""Numbers as a reader wants them."""

import math
from numbers import Integral, Real

_NOTHING = "\N{EN DASH}"


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
        return f"{number:,.0f}" if 1_000 <= abs(number) < 1e15 else f"{number:.4g}"
    return str(value)

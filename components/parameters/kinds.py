"""The values that a field takes, in words."""

from collections.abc import Iterable
from enum import Enum
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from components.parameters.options import LARGEST_INTEGER

# A bound of a range, and whether the range includes it.
Bound = tuple[float, bool]


def bounds(field: FieldInfo) -> tuple[Bound | None, Bound | None]:
    """Return the lower and the upper bound of a field; None without a bound."""
    low = high = None
    for constraint in field.metadata:
        for name in ("ge", "gt", "le", "lt"):
            value = getattr(constraint, name, None)
            if value is None or value == LARGEST_INTEGER:
                continue
            if name[0] == "g":
                low = (value, name == "ge")
            else:
                high = (value, name == "le")
    return low, high


def choices(field: FieldInfo) -> list[str]:
    """Return the words that a field of a fixed choice takes; empty for other fields.

    The empty word, which means the default, is left out.
    """
    annotation = field.annotation
    if get_origin(annotation) is Literal:
        return [word for word in get_args(annotation) if word]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return [str(member.value) for member in annotation]
    return []


def alternatives(words: Iterable[str]) -> str:
    """Return two or more words as a choice, e.g. `a, b or c`."""
    *others, last = words
    return f"{', '.join(others)} or {last}"


def kind(field: FieldInfo, with_range: bool = True) -> str:
    """Describe the values that a field takes, e.g. `a whole number from 0 to 10`.

    Args:
        field: The field.
        with_range: Whether to add the range.
    """
    if words := choices(field):
        return alternatives(words)
    text = _base(field.annotation)
    return f"{text}{_range(field)}" if with_range else text


def _base(annotation: Any) -> str:
    if NoneType in get_args(annotation):
        return next(_base(member) for member in get_args(annotation) if member is not NoneType)
    origin = get_origin(annotation) or annotation
    if origin is Annotated:
        return _base(get_args(annotation)[0])
    if origin is dict or (isinstance(origin, type) and issubclass(origin, BaseModel)):
        return "a JSON object"
    if origin is list:
        return "a JSON list of objects"
    return {bool: "true or false", int: "a whole number", float: "a number"}.get(origin, "text")


def _range(field: FieldInfo) -> str:
    low, high = bounds(field)
    if low and high:
        return f" {'from' if low[1] else 'above'} {low[0]:g} to {'' if high[1] else 'below '}{high[0]:g}"
    if low:
        return f", {low[0]:g} or more" if low[1] else f" above {low[0]:g}"
    return f", at most {high[0]:g}" if high else ""

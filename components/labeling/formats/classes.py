"""The class in a cell or a field: exactly one name, or the reason why there is none."""

from collections.abc import Sequence
from typing import Any

from components.labeling.formats.annotation import LeftOut, Outcome
from components.labeling.formats.values import is_empty

REGION = LeftOut("label: a region of the image. Export a project that classifies whole images.")
UNFINISHED = LeftOut("label: missing. Label the image, then export again.", Outcome.UNFINISHED)
EMPTY = LeftOut("label: empty. Choose a class for the image, or skip the image.", Outcome.EMPTY)


def several(count: int) -> LeftOut:
    """Return the reason for an image with several classes."""
    return LeftOut(f"label: {count} classes instead of 1. Export a project with one class per image.")


def single_class(value: Any) -> Any:
    """Return the only class in a field, or the reason why there is not exactly one.

    Args:
        value: A name, a list of names, or the value of another kind of project.

    Returns:
        A `LeftOut`, or a value that is probably a name. The annotation's model validates it.
    """
    if isinstance(value, Sequence) and not isinstance(value, str):
        if any(isinstance(each, dict) for each in value):
            return REGION
        found = [each for each in value if not is_empty(each)]
        if len(found) > 1:
            return several(len(found))
        value = found[0] if found else None
    if isinstance(value, dict):
        return REGION
    return EMPTY if is_empty(value) else value

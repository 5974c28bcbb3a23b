"""Parse JSON strictly: one value for each key."""

import json
from typing import Any

# A number with thousands of digits raises a ValueError, deep nesting a RecursionError.
ERRORS = (ValueError, RecursionError)


class RepeatedKeyError(ValueError):
    """An object has a key twice, with different values."""


def load(text: str) -> Any:
    """Return the value of a JSON text.

    Raises:
        RepeatedKeyError: An object has a key twice, with different values. Python's parser keeps the last one.
        ValueError: The text is not JSON.
        RecursionError: The text is nested too deeply.
    """
    return json.loads(text, object_pairs_hook=_to_object)


def _to_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        for key, each in pairs:
            # NaN differs from itself.
            if each is not value[key] and each != value[key]:
                raise RepeatedKeyError(f"{key}: given twice, with different values. Keep one of them.")
    return value

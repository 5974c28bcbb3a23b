"""Validators of the values that files hold. Each error names the cause and the way out."""

import json
import math
import re
from datetime import UTC, datetime
from typing import Any

from pydantic_core import PydanticCustomError

_LARGEST_LABEL = 2**31 - 1
_CLASS_ID = f"Give a whole number from 0 to {_LARGEST_LABEL}, or the class name as name."
# Whole numbers, also as a spreadsheet or pandas writes them in a column with empty cells.
_WHOLE_NUMBER = re.compile(r"[0-9]{1,10}(\.0+)?", re.ASCII)
_SEVERAL_NUMBERS = re.compile(r"\d+(\s*[,;|/ ]\s*\d+)+", re.ASCII)
# What programs write for a missing value. Any of them as a class name is far more often a mistake.
MISSING = ("nan", "<na>", "#n/a", "nat")
# Digits only are left out, because services mean a Unix time by them as often as a date.
_ISO_8601 = re.compile(
    r"\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d(:\d\d([.,]\d+)?)?([Zz]|[+-]\d\d(:?\d\d)?)?)?"
    r"|\d{8}[Tt]\d{4}(\d\d([.,]\d+)?)?([Zz]|[+-]\d\d(:?\d\d)?)?",
    re.ASCII,
)
_LONGEST_SHOWN = 80


def shown(value: object) -> str:
    """Return a value as an error message shows it: like JSON, and shortened."""
    text = f"'{value}'" if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 4] + "..." + text[-1]


def is_empty(value: object) -> bool:
    """Return whether a field has no value: it is missing, null or blank."""
    return value is None or (isinstance(value, str) and not value.strip())


def text(value: object) -> str:
    """Return a text field; a whole number becomes its digits.

    Raises:
        PydanticCustomError: The value is no text.
    """
    if isinstance(value, float):
        _check_finite(value)
        value = int(value) if value.is_integer() else value
    if isinstance(value, bool) or not isinstance(value, str | int | None):
        raise _error(f"{shown(value)} is not text. Write it as text.")
    found = "" if value is None else str(value)
    try:
        # JSON can hold half of a surrogate pair, which UTF-8 can't encode.
        found.encode()
    except UnicodeEncodeError as error:
        raise _error("it has half of a surrogate pair, which no text may have. Export the file again.") from error
    return found


def not_empty(value: str) -> str:
    """Return a text that must not be empty.

    Raises:
        PydanticCustomError: The text is empty.
    """
    if not value:
        raise _error("missing. Copy the path from the manifest.")
    return value


def class_name(value: object) -> str:
    """Return a class name; empty for none.

    Raises:
        PydanticCustomError: The value is no name.
    """
    found = text(value)
    if found.strip().lower() in MISSING:
        raise _error(f"{shown(found)} means a missing value. If it is a class, give its class id as label.")
    return found


def class_id(value: object) -> int | None:
    """Return a class id; None for none.

    Raises:
        PydanticCustomError: The value is no class id.
    """
    if is_empty(value):
        return None
    if isinstance(value, float):
        _check_finite(value)
        value = int(value) if value.is_integer() else value
    if isinstance(value, str):
        digits = value.strip()
        if _SEVERAL_NUMBERS.fullmatch(digits):
            raise _error(f"{shown(value)} names several classes. Label each image with one class.")
        if _WHOLE_NUMBER.fullmatch(digits):
            value = int(digits.partition(".")[0])
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST_LABEL:
        raise _error(f"{shown(value)} is not a class id. {_CLASS_ID}")
    return value


def time(value: object) -> datetime | None:
    """Return a time in UTC; None for none. A time without a zone is in UTC.

    Raises:
        PydanticCustomError: The value is no time in ISO 8601.
    """
    if is_empty(value):
        return None
    if isinstance(value, datetime):
        found = value
    else:
        written = value.strip() if isinstance(value, str) else ""
        try:
            if not _ISO_8601.fullmatch(written):
                raise ValueError(written)
            found = datetime.fromisoformat(written.upper())
        except ValueError as error:
            raise _error(f"{shown(value)} is not a time in ISO 8601. Write e.g. 2026-05-01T12:00:00Z.") from error
    try:
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except OverflowError as error:
        raise _error(f"{shown(value)} is out of range in UTC. Correct the year.") from error


def _check_finite(value: float) -> None:
    if not math.isfinite(value):
        raise _error(f"{shown(value)} means a missing value. Give the value, or remove the field.")


def _error(reason: str) -> PydanticCustomError:
    # The reason is no template itself, because it may contain braces.
    return PydanticCustomError("annotation", "{reason}", {"reason": reason})


def boolean(value: Any) -> bool | None:
    """Return a field that is true or false; None if it is neither. An empty field is false."""
    if is_empty(value):
        return False
    if isinstance(value, bool):
        return value
    return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(
        str(value).strip().lower()
    )

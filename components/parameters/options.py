"""The base of all parameter models, and the types of their fields.

A value arrives as a Python value, as JSON or as text. KFP turns each number inside a JSON object into a float. The
types convert a value if its meaning is unambiguous.
"""

import json
import math
import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

# Everything in KFP and Spark can store integers up to this one.
LARGEST_INTEGER = 2**31 - 1

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)


def _number(value: Any) -> Any:
    """Convert text to a number. Reject booleans, which Pydantic would convert to 0 or 1."""
    if isinstance(value, bool):
        raise ValueError("a boolean is not a number")
    if isinstance(value, str) and _NUMBER.fullmatch(text := value.strip()):
        return int(text) if text.lstrip("+-").isdecimal() else float(text)
    return value


def _word(value: Any) -> Any:
    """Convert a word of a fixed choice to lower case, in which the models spell choices."""
    return value.strip().lower() if isinstance(value, str) else value


def from_json(value: Any) -> Any:
    """Parse a text as JSON. Return any other value unchanged."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise ValueError("the text is not JSON") from None


def is_finite(value: float) -> bool:
    """Return whether a number is finite as a float."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


Integer = Annotated[int, BeforeValidator(_number), Field(le=LARGEST_INTEGER)]
Number = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]
Flag = bool
Text = str
# Marks a field of a fixed choice: `backbone: Annotated[Backbone, CHOICE]`.
CHOICE = BeforeValidator(_word)


class Options(BaseModel):
    """Parameters of one concern. Unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _from_json(cls, values: Any) -> Any:
        return from_json(values)

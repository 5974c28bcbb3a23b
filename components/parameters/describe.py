"""Descriptions of parameters, added to docstrings. KFP reads them there."""

import inspect
import json
import re
from collections.abc import Callable, Iterable
from typing import TypeVar

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from components.parameters.forms import OPTIONS
from components.parameters.kinds import kind

Function = TypeVar("Function", bound=Callable[..., object])

_ARGUMENTS = "Args:"
_SECTIONS = re.compile(r"^(Returns|Raises):$", re.MULTILINE)


def describe(*models: type[BaseModel]) -> Callable[[Function], Function]:
    """Return a decorator that adds descriptions of parameters to a docstring.

    Apply it below `@dsl.component` or `@dsl.pipeline`. If the docstring already describes a parameter, that description
    stays.

    Args:
        *models: Forms. The description of a parameter comes from the first form that has it.
    """

    def decorate(function: Function) -> Function:
        text = inspect.cleandoc(function.__doc__ or "")
        described = _SECTIONS.split(text)[0]
        lines = [
            f"    {name}: {description(name, field)}"
            for name in inspect.signature(function).parameters
            if not re.search(rf"^    {name}: ", described, re.MULTILINE)
            for field in [_field(name, models)]
            if field is not None
        ]
        function.__doc__ = _with_arguments(text, lines)
        return function

    return decorate


def description(name: str, field: FieldInfo) -> str:
    """Return the description of a parameter in one line. A JSON field has a line more for each of its keys."""
    if name not in OPTIONS:
        return _typed(field)
    model = OPTIONS[name]
    keys = [f"        `{key}`: {full_description(key_field)}" for key, key_field in model.model_fields.items()]
    return "\n".join([f"{summary(model)} A JSON object. Missing keys have their defaults:", *keys])


def full_description(field: FieldInfo) -> str:
    """Return the description of a field with its type, range and default."""
    return f"{_typed(field)} Default: `{default(field)}`."


def _typed(field: FieldInfo) -> str:
    text = kind(field)
    return f"{field.description}{'' if text == 'text' else f' Takes {text}.'}"


def summary(model: type[BaseModel]) -> str:
    """Return the first line of a JSON field's description."""
    return inspect.cleandoc(model.__doc__ or "").split("\n", 1)[0]


def default(field: FieldInfo) -> str:
    """Return the default of a field as JSON, or as plain text if it is a string."""
    value = field.get_default(call_default_factory=True)
    text = value if isinstance(value, str) else json.dumps(value, default=lambda model: model.model_dump(mode="json"))
    return text or '""'


def _field(name: str, models: Iterable[type[BaseModel]]) -> FieldInfo | None:
    return next((model.model_fields[name] for model in models if name in model.model_fields), None)


def _with_arguments(text: str, lines: list[str]) -> str:
    if not lines:
        return text
    added = "\n".join(lines)
    if f"\n{_ARGUMENTS}\n" in text:
        return text.replace(f"\n{_ARGUMENTS}\n", f"\n{_ARGUMENTS}\n{added}\n", 1)
    section = f"{_ARGUMENTS}\n{added}\n"
    if found := _SECTIONS.search(text):
        return f"{text[: found.start()]}{section}\n{text[found.start() :]}"
    return f"{text}\n\n{section}"

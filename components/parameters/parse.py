"""Validate parameters, and explain the first error."""

import json
import math
from collections.abc import Mapping
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from components.errors import InputError
from components.parameters.forms import FORMS, OPTIONS, Form
from components.parameters.kinds import Bound, alternatives, bounds, choices, kind
from components.parameters.names import advice
from components.parameters.options import Options

AnyOptions = TypeVar("AnyOptions", bound=Options)

_LONGEST_VALUE = 80
_OUT_OF_RANGE = ("greater_than", "greater_than_equal", "less_than", "less_than_equal", "finite_number")


def parse(model: type[AnyOptions], values: object, field: str = "") -> AnyOptions:
    """Return validated parameters.

    Args:
        model: Model of the parameters.
        values: Values by key, as a mapping or as JSON text.
        field: Field of a form whose keys the parameters are; empty if they are fields.

    Raises:
        InputError: A key is unknown, or a value is not allowed.
    """
    try:
        return model.model_validate(values)
    except UnicodeEncodeError:
        # Python decodes a byte that is not UTF-8 to half of a surrogate pair, which Pydantic can't quote in an error.
        raise InputError(f"{field or 'parameters'}: a text is not valid Unicode. Write it in UTF-8.") from None
    except ValidationError as error:
        explanation = explain(error, model, field)
        raise InputError("".join(character if character.isprintable() else " " for character in explanation)) from None


def parse_inputs(model: type[AnyOptions], **inputs: object) -> AnyOptions:
    """Return the validated inputs of a component.

    The keys of JSON inputs become fields of the model.

    Args:
        model: Model of all inputs, e.g. `Training`.
        **inputs: Values by name, e.g. `epochs` and `training_options`.

    Raises:
        InputError: A key is unknown, or a value is not allowed.
    """
    values: dict[str, Any] = {}
    for name, value in inputs.items():
        if name in OPTIONS:
            values |= parse(OPTIONS[name], value, name).model_dump(exclude_unset=True)
        else:
            values[name] = value
    return parse(model, values)


def parse_form(pipeline: str, values: Mapping[str, object]) -> Form:
    """Return the validated parameters of a pipeline.

    Args:
        pipeline: `training`, `labeling`, `scoring` or `maintenance`.
        values: Values by field. Missing fields have their defaults.

    Raises:
        InputError: The pipeline or a name is unknown, or a value is not allowed.
    """
    if pipeline not in FORMS:
        raise InputError(f"pipeline: '{pipeline}' is unknown. Give {alternatives(FORMS)}.")
    return parse(FORMS[pipeline], values)


def explain(error: ValidationError, model: type[BaseModel], field: str = "") -> str:
    """Explain the first error: one sentence what is wrong, and one what to do.

    Args:
        error: Pydantic's error.
        model: Model that raised the error.
        field: Field of a form whose keys the model has; empty if the model is a form.
    """
    first = error.errors(include_url=False)[0]
    path = [*([field] if field else []), *(part for part in first["loc"] if part != "[key]")]
    owner, found = _find(model, first["loc"])
    name = _joined(path)
    value = first["input"]
    if first["type"] == "extra_forbidden":
        form = model if issubclass(model, Form) else None
        return f"{name}: {advice(str(path[-1]), _joined(path[:-1]), _keys(owner), form)}"
    if first["type"] == "value_error":
        message = str(first["ctx"]["error"])
        if message[-1:] == ".":
            # A message about several fields names them itself.
            return f"{name}: {message}" if first["loc"] or field else message
    if not first["loc"]:
        return f"{name or 'parameters'}: {_shown(value)} is not a JSON object. Give a JSON object{_example(model)}."
    return f"{name}: {_refusal(first['type'], value, found)}"


def _refusal(error: str, value: Any, field: FieldInfo | None) -> str:
    # Free keys, e.g. the labels of nodes, have no field. Their values are text.
    expected, allowed = (kind(field, with_range=False), kind(field)) if field is not None else ("text", "text")
    if value is None:
        return f"null is not a value. Give {allowed}, or leave it out."
    if field is not None and error in _OUT_OF_RANGE:
        return f"{_shown(value)} {_out_of_range(error, value, *bounds(field))}. Give {allowed}."
    if field is not None and choices(field):
        return f"{_shown(value)} is unknown. Give {allowed}."
    return (
        f"{_shown(value)} is not {expected}. Give {allowed}{_example(field.annotation) if field is not None else ''}."
    )


def _example(annotation: Any) -> str:
    """Return an example for a field that takes JSON; empty for other fields."""
    origin = get_origin(annotation) or annotation
    if origin is dict:
        return ', e.g. {"pool": "gpu"}'
    if origin is list:
        return ', e.g. [{"key": "gpu", "operator": "Exists"}]'
    if isinstance(origin, type) and issubclass(origin, BaseModel):
        key, first = next(iter(origin.model_fields.items()))
        return f', e.g. {{"{key}": {json.dumps(first.default)}}}'
    return ""


def _out_of_range(error: str, value: Any, low: Bound | None, high: Bound | None) -> str:
    if low and high:
        if low[1] and high[1]:
            return f"is not within {low[0]:g}..{high[0]:g}"
        return f"is not in the range from {low[0]:g} to {'' if high[1] else 'below '}{high[0]:g}"
    if isinstance(value, float) and not math.isfinite(value):
        return "is not finite"
    if error.startswith("less_than") or low is None:
        return "is too large"
    return f"is {'less than' if low[1] else 'not above'} {low[0]:g}"


def _shown(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, float):
        return f"{value:g}"
    text = f"'{value}'" if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


def _joined(path: list[Any]) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _keys(model: type[BaseModel] | None) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()] if model else []


def _find(model: type[BaseModel], location: tuple[int | str, ...]) -> tuple[type[BaseModel] | None, FieldInfo | None]:
    """Return the innermost model on the path to a location, and the field at the location."""
    owner: type[BaseModel] | None = model
    field: FieldInfo | None = None
    for part in location:
        fields = owner.model_fields if owner else {}
        by_key = {item.alias or name: item for name, item in fields.items()}
        if part in by_key:
            field = by_key[str(part)]
            owner = _model_of(field.annotation) or owner
        elif isinstance(part, str):
            field = None
    return owner, field


def _model_of(annotation: Any) -> type[BaseModel] | None:
    """Return the model of a field's value, or of the items of its list."""
    if isinstance(annotation, type) and not isinstance(annotation, UnionType) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for argument in get_args(annotation) if (found := _model_of(argument))), None)

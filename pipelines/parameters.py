"""Parameters of a pipeline from the command line and from the file of recurring runs."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from components.check_parameters.check import check_given_addresses
from components.errors import InputError
from components.parameters import parse, parse_form
from components.parameters.forms import FORMS, OPTIONS, places


def parse_parameters(pipeline: str, pairs: Iterable[str]) -> dict[str, Any]:
    """Parse NAME=VALUE pairs into arguments of a pipeline.

    Args:
        pipeline: Name of the pipeline.
        pairs: NAME is a field of the pipeline's form, e.g. `epochs`, or a key of one of its JSON fields, e.g.
            `learning_rate` or `training_options.learning_rate`. The last pair of a name counts.

    Raises:
        InputError: A name is unknown, a value is not allowed, or two pairs contradict each other.
    """
    given = []
    for pair in pairs:
        name, separator, text = pair.partition("=")
        if not separator or not name:
            raise InputError(f"--param: '{pair}' is not NAME=VALUE. Write e.g. source=s3a://bucket/folder.")
        given.append((name, text))
    return _arguments(pipeline, given)


def convert_parameters(pipeline: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a mapping, e.g. from a YAML file, into arguments of a pipeline.

    Args:
        pipeline: Name of the pipeline.
        values: Values by name; see `parse_parameters` for the names.

    Raises:
        InputError: A name is unknown, a value is not allowed, or two values contradict each other.
    """
    return _arguments(pipeline, ((str(name), value) for name, value in values.items()))


def check_defaults(pipeline: str, compiled: Path) -> None:
    """Check the defaults of a compiled pipeline.

    Args:
        pipeline: Name of the pipeline.
        compiled: Its YAML.

    Raises:
        InputError: The form and the file have different parameters, or a default is not allowed.
    """
    # The loader in C is ten times as fast.
    specification = next(iter(yaml.load_all(compiled.read_text(), yaml.CSafeLoader)))
    declared = specification["root"]["inputDefinitions"]["parameters"]
    if declared.keys() != FORMS[pipeline].model_fields.keys():
        raise InputError(f"{compiled}: compiled by another version, with other parameters. Compile it again.")
    try:
        parse_form(pipeline, {name: each["defaultValue"] for name, each in declared.items()})
    except InputError as error:
        raise InputError(f"{compiled}: {error}") from None


def _arguments(pipeline: str, given: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return the validated arguments, with the types that the pipeline declares."""
    field_of = dict(places(FORMS[pipeline]))
    values: dict[str, Any] = {}
    whole: dict[str, dict[str, Any]] = {}
    single: dict[str, dict[str, Any]] = {}
    # The last value of a name counts.
    for name, value in dict(given).items():
        field, key = _split_name(name, field_of)
        if field not in field_of or field not in OPTIONS:
            values[field] = value
        elif key:
            _merge(field, single.setdefault(field, {}), _converted(field, {key: value}))
        else:
            whole[field] = _converted(field, value)
    for field, keys in single.items():
        _merge(field, whole.setdefault(field, {}), keys)
    form = parse_form(pipeline, values | whole)
    check_given_addresses(pipeline, form)
    return form.model_dump(mode="json", exclude_unset=True)


def _merge(field: str, merged: dict[str, Any], keys: Mapping[str, Any]) -> None:
    """Add keys to those of a field, and refuse a key that contradicts one of them."""
    for key, value in keys.items():
        if merged.setdefault(key, value) != value:
            raise InputError(f"{field}.{key}: given twice, as {merged[key]!r} and as {value!r}. Leave one of them out.")


def _split_name(name: str, field_of: Mapping[str, str]) -> tuple[str, str]:
    """Return the field and the key of a name; an empty key means the whole field."""
    field, _, key = name.partition(".")
    if key and field in OPTIONS:
        return field, key
    return (field_of[name], name) if field_of.get(name) else (name, "")


def _converted(field: str, value: Any) -> dict[str, Any]:
    return parse(OPTIONS[field], value, field).model_dump(mode="json", exclude_unset=True)

"""The parameters that a compiled pipeline declares, and values for them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from components.errors import InputError

_TYPES: Mapping[str, tuple[type, ...]] = {
    "STRING": (str,),
    "NUMBER_INTEGER": (int,),
    "NUMBER_DOUBLE": (int, float),
    "BOOLEAN": (bool,),
    "STRUCT": (dict,),
    "LIST": (list,),
}


def parse_parameters(compiled: Path, pairs: list[str]) -> dict[str, Any]:
    """Return pipeline arguments from NAME=VALUE pairs, each of the type that the pipeline declares.

    Args:
        compiled: The compiled pipeline.
        pairs: As on the command line; the last one of a name counts.

    Raises:
        InputError: A name is unknown, or a value is not of its type.
    """
    declared = _declared(compiled)
    arguments: dict[str, Any] = {}
    for pair in pairs:
        name, separator, text = pair.partition("=")
        if not separator or name not in declared:
            raise InputError(
                f"--param: '{pair}' is not NAME=VALUE with a name out of {', '.join(declared)}. Correct it."
            )
        kind = declared[name]
        arguments[name] = text if kind == "STRING" else _parse(name, kind, text)
    return arguments


def check_parameters(compiled: Path, arguments: Mapping[str, Any]) -> None:
    """Check that a pipeline declares each argument, and of that type.

    Args:
        compiled: The compiled pipeline.
        arguments: By name.

    Raises:
        InputError: A name is unknown, or a value is not of its type.
    """
    declared = _declared(compiled)
    for name, value in arguments.items():
        if name not in declared:
            raise InputError(f"parameters: there is no '{name}'. Use a name out of {', '.join(declared)}.")
        if not _is_of(declared[name], value):
            raise InputError(f"parameters: {value!r} of {name} is not of type {declared[name]}. Correct it.")


def _declared(compiled: Path) -> dict[str, str]:
    """Return the type of each parameter, by name."""
    # The loader in C takes a tenth of the time.
    specification = next(iter(yaml.load_all(compiled.read_text(), yaml.CSafeLoader)))
    parameters = specification["root"]["inputDefinitions"]["parameters"]
    return {name: parameter["parameterType"] for name, parameter in parameters.items()}


def _parse(name: str, kind: str, text: str) -> Any:
    try:
        value = json.loads(text.lower() if kind == "BOOLEAN" else text)
    except json.JSONDecodeError:
        value = None
    if not _is_of(kind, value):
        raise InputError(f"--param: '{text}' of {name} is not of type {kind}. Write it as JSON.")
    return value


def _is_of(kind: str, value: Any) -> bool:
    return isinstance(value, _TYPES[kind]) and (kind == "BOOLEAN" or not isinstance(value, bool))

"""NAME=VALUE pairs become arguments of the types that the compiled pipeline declares."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.errors import InputError
from pipelines.parameters import parse_parameters

KINDS = {
    "source": "STRING",
    "epochs": "NUMBER_INTEGER",
    "dropout": "NUMBER_DOUBLE",
    "timeline": "BOOLEAN",
    "selector": "STRUCT",
    "tolerations": "LIST",
}
NAMES = ", ".join(sorted(KINDS))


@pytest.fixture
def compiled(tmp_path: Path) -> Path:
    """A compiled pipeline: its specification, and the platform's document after it."""
    parameters = {name: {"parameterType": kind, "isOptional": True} for name, kind in KINDS.items()}
    documents = [{"root": {"inputDefinitions": {"parameters": parameters}}}, {"platforms": {"kubernetes": {}}}]
    path = tmp_path / "pipeline.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    return path


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("source=file:///landing", "file:///landing"),
        ("source=", ""),
        # Text stays text, whatever it looks like.
        ("source=7", "7"),
        ("source=true", "true"),
        ('source="quoted"', '"quoted"'),
        ("source=a=b", "a=b"),
        (r"source=^(\d{3})\.", r"^(\d{3})\."),
        ("epochs=12", 12),
        ("epochs=-1", -1),
        ("dropout=0.5", 0.5),
        ("dropout=1", 1),
        ("dropout=1e-3", 0.001),
        ("timeline=true", True),
        ("timeline=False", False),
        ('selector={"pool": "gpu"}', {"pool": "gpu"}),
        ("selector={}", {}),
        ('tolerations=[{"key": "gpu"}]', [{"key": "gpu"}]),
    ],
)
def test_a_value_is_of_the_declared_type(compiled: Path, pair: str, value: Any) -> None:
    name = pair.partition("=")[0]

    arguments = parse_parameters(compiled, [pair])

    assert arguments == {name: value}
    assert type(arguments[name]) is type(value)


def test_the_last_of_several_values_counts_and_the_others_keep_their_defaults(compiled: Path) -> None:
    assert parse_parameters(compiled, ["epochs=1", "source=a", "epochs=2"]) == {"epochs": 2, "source": "a"}
    assert parse_parameters(compiled, []) == {}


@pytest.mark.parametrize(
    "pair",
    [
        "epochs=",
        "epochs=many",
        "epochs=1.5",
        "epochs=1.0",
        "epochs=true",
        'epochs="1"',
        "epochs=null",
        "dropout=half",
        "dropout=false",
        "timeline=1",
        "timeline=yes",
        "timeline=",
        "selector=[]",
        "selector=pool=gpu",
        "selector=null",
        "tolerations={}",
        "tolerations=[",
    ],
)
def test_a_value_of_another_type_is_refused_by_the_parameters_name(compiled: Path, pair: str) -> None:
    name = pair.partition("=")[0]

    with pytest.raises(InputError, match=rf"^--param: .* of {name} is not of type {KINDS[name]}\. Write it as JSON\.$"):
        parse_parameters(compiled, [pair])


@pytest.mark.parametrize("pair", ["", "epochs", "=1", "epoch=1", "Epochs=1", " epochs=1"])
def test_what_is_no_pair_of_a_known_name_is_told_the_names(compiled: Path, pair: str) -> None:
    with pytest.raises(InputError, match=rf"^--param: '{pair}' is not NAME=VALUE with a name out of {NAMES}\."):
        parse_parameters(compiled, [pair])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "source": st.text(),
            "epochs": st.integers(),
            "dropout": st.floats(allow_nan=False, allow_infinity=False),
            "timeline": st.booleans(),
            "selector": st.dictionaries(st.text(), st.text()),
            "tolerations": st.lists(st.dictionaries(st.text(), st.text())),
        },
    )
)
def test_every_argument_survives_the_command_line(compiled: Path, arguments: dict[str, Any]) -> None:
    pairs = [f"{name}={value if name == 'source' else json.dumps(value)}" for name, value in arguments.items()]

    assert parse_parameters(compiled, pairs) == arguments

"""Tests of the parameters of the export: invalid ones are refused before any other work."""

from typing import Any

import pytest

from components.errors import InputError
from components.export_for_labeling.export import export
from components.parameters import Choice, parse
from components.settings import Settings


@pytest.mark.parametrize("name", ["threshold", "fraction", "audit_fraction"])
@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan"), float("inf")])
def test_fraction_outside_0_and_1_is_refused(name: str, value: float) -> None:
    with pytest.raises(InputError, match=rf"^{name}: .* is not within 0\.\.1"):
        parse(Choice, {name: value})


def test_negative_budget_is_refused() -> None:
    with pytest.raises(InputError, match=r"^budget: -1 is less than 0"):
        parse(Choice, {"budget": -1})


@pytest.mark.parametrize("values", [{"fraction": 0}, {"fraction": 1}, {"threshold": 1.0}, {"audit_fraction": 0.0}])
def test_limits_of_a_range_are_allowed(values: dict[str, Any]) -> None:
    assert parse(Choice, values)


def test_missing_destination_is_refused() -> None:
    with pytest.raises(InputError, match=r"^labeling_destination: not set"):
        export(Settings.load())

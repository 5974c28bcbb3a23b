"""The parameters of export are checked before anything is done."""

from typing import Any

import pytest

from components.errors import InputError
from components.export_for_labeling.choice import Choice
from components.export_for_labeling.export import export
from components.settings import Settings


@pytest.mark.parametrize("name", ["threshold", "fraction", "audit_fraction"])
@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan"), float("inf")])
def test_a_share_outside_0_and_1_is_refused(name: str, value: float) -> None:
    with pytest.raises(InputError, match=rf"^{name}: .* is not within 0\.\.1"):
        Choice(**{name: value})  # type: ignore[arg-type]  # of one field each


def test_a_negative_budget_is_refused() -> None:
    with pytest.raises(InputError, match=r"^budget: -1 is less than 0"):
        Choice(budget=-1)


@pytest.mark.parametrize("values", [{"fraction": 0}, {"fraction": 1}, {"threshold": 1.0}, {"audit_fraction": 0.0}])
def test_the_ends_of_a_range_are_allowed(values: dict[str, Any]) -> None:
    assert Choice(**values)


def test_a_destination_that_is_named_nowhere_is_refused() -> None:
    with pytest.raises(InputError, match=r"^labeling_destination: not set"):
        export(Settings.load())

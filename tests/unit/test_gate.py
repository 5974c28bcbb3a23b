"""The gate's rule, case by case and for all accuracies."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import InputError
from components.evaluate_classifier.gate import Champion, Gate, Mode, decide

AUTO = Gate()
accuracies = st.floats(0, 1)


@pytest.mark.parametrize(
    ("gate", "accuracy", "champion", "promote", "reason"),
    [
        pytest.param(AUTO, 0.0, None, True, "no champion yet", id="first model, no minimum"),
        pytest.param(Gate(minimum_accuracy=0.9), 0.9, None, True, "no champion yet", id="first model, at the minimum"),
        pytest.param(
            Gate(minimum_accuracy=0.9), 0.89, None, False, "under the minimum of 90.00%", id="first, under it"
        ),
        pytest.param(AUTO, 0.91, Champion("3", 0.9), True, "above the 90.00% of version 3", id="better"),
        pytest.param(AUTO, 0.9, Champion("3", 0.9), False, "not above the 90.00% of version 3", id="equal"),
        pytest.param(AUTO, 0.89, Champion("3", 0.9), False, "not above", id="worse"),
        pytest.param(
            Gate(minimum_accuracy=0.95), 0.92, Champion("3", 0.9), False, "under the minimum", id="not enough"
        ),
        pytest.param(Gate(Mode.MANUAL), 0.99, Champion("3", 0.5), False, "promotion is manual", id="manual, better"),
        pytest.param(Gate(Mode.MANUAL), 0.99, None, False, "promotion is manual", id="manual, first"),
        pytest.param(Gate(Mode.MANUAL), 0.4, Champion("3", 0.5), False, "not above", id="manual, worse"),
        pytest.param(AUTO, 0.9, Champion("3", 0.9, True), False, "the champion already, as version 3", id="itself"),
    ],
)
def test_gate_promotes_what_is_good_enough_and_better(
    gate: Gate, accuracy: float, champion: Champion | None, promote: bool, reason: str
) -> None:
    decision = decide(gate, accuracy, champion)

    assert decision.promote is promote
    assert reason in decision.reason


@given(accuracy=accuracies, champion=accuracies, minimum=accuracies)
def test_only_a_strictly_better_model_takes_a_champions_place(accuracy: float, champion: float, minimum: float) -> None:
    decision = decide(Gate(minimum_accuracy=minimum), accuracy, Champion("1", champion))

    assert decision.promote == (accuracy > champion and accuracy >= minimum)


@given(first=accuracies, second=accuracies)
def test_two_models_never_take_each_others_place(first: float, second: float) -> None:
    forth = decide(AUTO, first, Champion("1", second)).promote
    back = decide(AUTO, second, Champion("1", first)).promote

    assert not (forth and back)


@given(accuracy=accuracies, champion=st.none() | st.builds(Champion, st.just("1"), accuracies, st.booleans()))
def test_manual_never_promotes(accuracy: float, champion: Champion | None) -> None:
    assert not decide(Gate(Mode.MANUAL), accuracy, champion).promote


@pytest.mark.parametrize(
    ("promote", "minimum", "sentence"),
    [
        ("always", 0.5, "promote: 'always' is none of auto, manual"),
        ("auto", 90, "minimum_accuracy: 90 is not within 0..1"),
        ("auto", -0.1, "minimum_accuracy: -0.1 is not within 0..1"),
        ("auto", math.nan, "minimum_accuracy: nan is not within 0..1"),
    ],
)
def test_thresholds_that_make_no_sense_are_refused(promote: str, minimum: float, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        Gate.make(promote, minimum)

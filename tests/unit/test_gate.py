"""The gate's rule, case by case and for all counts."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import InputError
from components.evaluate_classifier.gate import Champion, Gate, Mode, decide
from components.evaluate_classifier.tally import Paired, Tally

AUTO = Gate()
AS_COUNTED = Gate(gain_confidence=0.5)
# Images that both models, only the challenger, only the champion, and neither classify right.
counts = st.tuples(*[st.integers(0, 300)] * 4).filter(any)
gates = st.builds(
    Gate,
    minimum_accuracy=st.floats(0, 1),
    minimum_gain=st.floats(0, 1),
    gain_confidence=st.floats(0.5, 0.999),
    minimum_class_recall=st.floats(0, 1),
    minimum_class_images=st.integers(1, 50),
)

Counts = tuple[int, int, int, int]


def compare(both: int, won: int, lost: int, neither: int, label: int = 7, other: int = 8) -> tuple[Tally, Champion]:
    """Return challenger and champion, version 3, of images of one class."""
    challenger, champion, paired = Tally(), Tally(), Paired()
    for number, ours, theirs in (
        (both, label, label),
        (won, label, other),
        (lost, other, label),
        (neither, None, other),
    ):
        for _ in range(number):
            challenger.add(label, ours)
            champion.add(label, theirs)
            paired.add(label, ours, theirs)
    return challenger, Champion("3", champion, paired)


def first(right: int, wrong: int) -> Tally:
    return compare(right, 0, 0, wrong)[0]


@pytest.mark.parametrize(
    ("gate", "challenger", "promote", "reason"),
    [
        (AUTO, first(0, 9), True, "there is no champion yet, and its accuracy of 0.00% is not under the minimum"),
        (Gate(minimum_accuracy=0.9), first(9, 1), True, "its accuracy of 90.00% is not under the minimum of 90.00%"),
        (Gate(minimum_accuracy=0.9), first(89, 11), False, "its accuracy of 89.00% is under the minimum of 90.00%"),
        (Gate(minimum_class_recall=0.5), first(4, 15), True, "there is no champion yet"),
        (Gate(minimum_class_recall=0.5), first(4, 16), False, "it finds 20.00% of class flag, under the minimum of 50"),
        (Gate(Mode.MANUAL), first(9, 0), False, "promotion is manual; there is no champion yet"),
    ],
    ids=["no minimum", "at the minimum", "under it", "too few of a class", "too little of a class", "manual"],
)
def test_the_first_model_has_to_be_good_enough(gate: Gate, challenger: Tally, promote: bool, reason: str) -> None:
    decision = decide(gate, challenger, None, {7: "flag"})

    assert decision.promote is promote
    assert reason in decision.reason


@pytest.mark.parametrize(
    ("gate", "compared", "promote", "reason"),
    [
        pytest.param(AUTO, (88, 3, 2, 7), False, "not above the minimum", id="better by chance"),
        pytest.param(AS_COUNTED, (88, 3, 2, 7), True, "above the minimum", id="better as counted"),
        pytest.param(AUTO, (880, 30, 20, 70), True, "a gain of at least +0.39 points (80% sure)", id="surely better"),
        pytest.param(
            Gate(gain_confidence=0.95), (880, 30, 20, 70), False, "(95% sure), which is not", id="not so sure"
        ),
        pytest.param(AS_COUNTED, (90, 0, 0, 10), False, "beside the 90.00% of version 3, the champion", id="equal"),
        pytest.param(AS_COUNTED, (880, 20, 30, 70), False, "accuracy of 90.00% on 1,000 images", id="worse"),
        pytest.param(Gate(minimum_gain=0.02), (880, 30, 20, 70), False, "minimum of +2.00 points", id="by too little"),
        pytest.param(Gate(minimum_gain=-0.02), (880, 20, 30, 70), True, "-2.00 points", id="worse by what is allowed"),
        pytest.param(
            Gate(minimum_accuracy=0.95), (880, 30, 20, 70), False, "91.00% is under the minimum", id="not good enough"
        ),
        pytest.param(
            Gate(Mode.MANUAL), (50, 40, 0, 10), False, "promotion is manual; its accuracy", id="manual, better"
        ),
        pytest.param(Gate(Mode.MANUAL), (50, 0, 40, 10), False, "not above", id="manual, worse"),
    ],
)
def test_a_later_model_has_to_be_better_and_not_by_chance(
    gate: Gate, compared: Counts, promote: bool, reason: str
) -> None:
    decision = decide(gate, *compare(*compared))

    assert decision.promote is promote
    assert reason in decision.reason


def test_the_champion_is_not_replaced_by_itself() -> None:
    challenger, champion = compare(9, 0, 0, 1)

    decision = decide(AUTO, challenger, Champion("3", champion.tally, champion.paired, is_challenger=True))

    assert (decision.promote, decision.reason) == (False, "it is the champion already, as version 3")


@pytest.mark.parametrize(
    ("recalls", "promote"),
    [((10, 30), False), ((30, 30), True), ((10, 10), True), ((10, 9), True)],
    ids=["lost", "kept", "as bad as before", "less bad than before"],
)
def test_a_class_that_is_lost_keeps_a_better_model_out(recalls: tuple[int, int], promote: bool) -> None:
    """Of 40 images of class 1, challenger and champion find so many; of class 2 the challenger finds far more."""
    challenger, champion, paired = Tally(), Tally(), Paired()
    for label, images, ours, theirs in ((1, 40, *recalls), (2, 400, 390, 200)):
        for number in range(images):
            said = [label if number < right else 3 - label for right in (ours, theirs)]
            challenger.add(label, said[0])
            champion.add(label, said[1])
            paired.add(label, *said)

    decision = decide(Gate(minimum_class_recall=0.5), challenger, Champion("3", champion, paired))

    assert decision.promote is promote
    assert ("it finds 25.00% of class 1, under the minimum of 50.00%" in decision.reason) is not promote
    assert [check.passed for check in decision.checks] == [True, True, promote]


def test_all_that_is_wrong_is_told() -> None:
    gate = Gate(minimum_accuracy=0.9, minimum_class_recall=0.8)

    reason = decide(gate, *compare(50, 0, 30, 20)).reason

    assert "its accuracy of 50.00% is under the minimum of 90.00%; its accuracy of 50.00% on 100 images" in reason
    assert reason.endswith("; it finds 50.00% of class 7, under the minimum of 80.00%")


@given(compared=counts, gate=gates)
def test_only_a_strictly_better_model_takes_a_champions_place(compared: Counts, gate: Gate) -> None:
    challenger, champion = compare(*compared)

    if decide(gate, challenger, champion).promote:
        assert challenger.accuracy > champion.tally.accuracy
        assert challenger.accuracy >= gate.minimum_accuracy


@given(compared=counts)
def test_at_even_odds_any_gain_is_enough(compared: Counts) -> None:
    challenger, champion = compare(*compared)

    assert decide(AS_COUNTED, challenger, champion).promote == (challenger.accuracy > champion.tally.accuracy)


@given(compared=counts, confidences=st.tuples(st.floats(0.5, 0.999), st.floats(0.5, 0.999)))
def test_who_wants_to_be_surer_promotes_less(compared: Counts, confidences: tuple[float, float]) -> None:
    less, more = (decide(Gate(gain_confidence=each), *compare(*compared)).promote for each in sorted(confidences))

    assert less or not more


@given(compared=counts, gate=gates)
def test_two_models_never_take_each_others_place(compared: Counts, gate: Gate) -> None:
    both, won, lost, neither = compared
    forth = decide(gate, *compare(both, won, lost, neither)).promote
    back = decide(gate, *compare(both, lost, won, neither)).promote

    assert not (forth and back)


@given(compared=counts, is_first=st.booleans())
def test_manual_never_promotes(compared: Counts, is_first: bool) -> None:
    challenger, champion = compare(*compared)

    assert not decide(Gate(Mode.MANUAL), challenger, None if is_first else champion).promote


@pytest.mark.parametrize(
    ("thresholds", "sentence"),
    [
        ({"promote": "always"}, "promote: 'always' is none of auto, manual"),
        ({"minimum_accuracy": 90}, "minimum_accuracy: 90 is not within 0..1"),
        ({"minimum_accuracy": -0.1}, "minimum_accuracy: -0.1 is not within 0..1"),
        ({"minimum_accuracy": math.nan}, "minimum_accuracy: nan is not within 0..1"),
        ({"minimum_class_recall": 1.1}, "minimum_class_recall: 1.1 is not within 0..1"),
        ({"minimum_gain": 2}, "minimum_gain: 2 is not within -1..1"),
        ({"gain_confidence": 1}, "gain_confidence: 1 is not from 0.5 up to, but without 1"),
        ({"gain_confidence": 0.4}, "gain_confidence: 0.4 is not from 0.5"),
        ({"minimum_class_images": 0}, "minimum_class_images: 0 is less than 1"),
    ],
)
def test_thresholds_that_make_no_sense_are_refused(thresholds: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=f"^{sentence}"):
        Gate(**thresholds)

"""The gate's rules: single cases, and properties of random counts."""

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import binom

from components.errors import InputError
from components.evaluate_classifier.gate import EvaluatedChampion, decide
from components.evaluate_classifier.tally import Paired, Tally
from components.parameters import Gate, parse
from components.parameters.gate import Promotion

AUTO = Gate()
# A gate without a minimum gain, so that only classes can block.
CLASSES_ONLY = Gate(minimum_gain=-1)
ANY_GAIN = Gate(gain_confidence=0.5)
# Numbers of images that both models, only the challenger, only the champion and neither predict correctly.
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


def compare(
    both: int, won: int, lost: int, neither: int, label: int = 7, other: int = 8
) -> tuple[Tally, EvaluatedChampion]:
    """Return predictions of challenger and champion for images of one class."""
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
    return challenger, EvaluatedChampion("3", champion, paired)


def first(right: int, wrong: int) -> Tally:
    return compare(right, 0, 0, wrong)[0]


def challenger_of(classes: Mapping[int, tuple[int, int]]) -> Tally:
    """Return predictions, given the numbers of correct and wrong predictions by class id."""
    tally = Tally()
    for label, (right, wrong) in classes.items():
        tally.pairs[label, label] = right
        tally.pairs[label, None] = wrong
    return tally


def compare_classes(classes: Mapping[int, Counts]) -> tuple[Tally, EvaluatedChampion]:
    """Return predictions of challenger and champion, given the counts of each class."""
    challenger, champion, paired = Tally(), Tally(), Paired()
    for label, (both, won, lost, neither) in classes.items():
        for number, ours, theirs in ((both, True, True), (won, True, False), (lost, False, True), (neither, 0, 0)):
            for _ in range(number):
                predicted = [label if right else None for right in (ours, theirs)]
                challenger.add(label, predicted[0])
                champion.add(label, predicted[1])
                paired.add(label, *predicted)
    return challenger, EvaluatedChampion("3", champion, paired)


@pytest.mark.parametrize(
    ("gate", "challenger", "promote", "reason"),
    [
        (AUTO, first(9, 0), True, "there is no champion yet, and it classifies all 9 test images correctly"),
        (Gate(minimum_accuracy=0.9), first(9, 1), True, "there is no champion yet"),
        (Gate(minimum_accuracy=0.9), first(89, 11), False, "its accuracy of 89.00% is below the minimum of 90.00%"),
        (Gate(minimum_class_recall=0.5), first(4, 15), True, "there is no champion yet"),
        (
            Gate(minimum_class_recall=0.5),
            first(4, 16),
            False,
            "its recall is 20.00% for class flag, below the minimum of 50",
        ),
        (Gate(promote=Promotion.MANUAL), first(9, 0), False, "promotion is manual; there is no champion yet"),
    ],
    ids=[
        "no minimum",
        "at the minimum",
        "below the minimum",
        "low recall, too few images",
        "low recall, enough images",
        "manual",
    ],
)
def test_first_model_must_reach_the_minimum_accuracy(gate: Gate, challenger: Tally, promote: bool, reason: str) -> None:
    decision = decide(gate, challenger, None, {7: "flag"})

    assert decision.promote is promote
    assert reason in decision.reason


@pytest.mark.parametrize(
    ("gate", "compared", "promote", "reason"),
    [
        pytest.param(AUTO, (88, 3, 2, 7), False, "not above the minimum", id="better by chance"),
        pytest.param(ANY_GAIN, (88, 3, 2, 7), True, "above the minimum", id="better without confidence"),
        pytest.param(
            AUTO, (880, 30, 20, 70), True, "a gain of at least +0.39 points (80% confidence)", id="significantly better"
        ),
        pytest.param(
            Gate(gain_confidence=0.95),
            (880, 30, 20, 70),
            False,
            "(95% confidence), which is not",
            id="better, with higher confidence",
        ),
        pytest.param(ANY_GAIN, (90, 0, 0, 10), False, "and version 3, the champion, has 90.00%: a gain", id="equal"),
        pytest.param(ANY_GAIN, (880, 20, 30, 70), False, "accuracy is 90.00% on 1,000 images", id="worse"),
        pytest.param(
            Gate(minimum_gain=0.02), (880, 30, 20, 70), False, "minimum of +2.00 points", id="better by too little"
        ),
        pytest.param(
            Gate(minimum_gain=-0.02), (880, 20, 30, 70), True, "-2.00 points", id="worse by the allowed amount"
        ),
        pytest.param(
            Gate(minimum_accuracy=0.95), (880, 30, 20, 70), False, "91.00% is below the minimum", id="not good enough"
        ),
        pytest.param(
            Gate(promote=Promotion.MANUAL),
            (50, 40, 0, 10),
            False,
            "promotion is manual; its accuracy",
            id="manual, better",
        ),
        pytest.param(Gate(promote=Promotion.MANUAL), (50, 0, 40, 10), False, "not above", id="manual, worse"),
    ],
)
def test_later_model_must_be_significantly_better(gate: Gate, compared: Counts, promote: bool, reason: str) -> None:
    decision = decide(gate, *compare(*compared))

    assert decision.promote is promote
    assert reason in decision.reason


def test_champion_is_not_replaced_by_itself() -> None:
    challenger, champion = compare(9, 0, 0, 1)

    decision = decide(AUTO, challenger, EvaluatedChampion("3", champion.tally, champion.paired, is_challenger=True))

    assert (decision.promote, decision.reason) == (False, "it is the champion already, as version 3")


@pytest.mark.parametrize(
    ("recalls", "promote"),
    [((10, 30), False), ((30, 30), True), ((10, 10), True), ((10, 9), True)],
    ids=["worse", "equal", "equally bad", "better, but still bad"],
)
def test_lost_class_blocks_a_better_model(recalls: tuple[int, int], promote: bool) -> None:
    """`recalls` are the correct predictions of both models for 40 images of class 1.

    For class 2, the challenger is far better.
    """
    challenger, champion, paired = Tally(), Tally(), Paired()
    for label, images, ours, theirs in ((1, 40, *recalls), (2, 400, 390, 200)):
        for number in range(images):
            predicted = [label if number < right else 3 - label for right in (ours, theirs)]
            challenger.add(label, predicted[0])
            champion.add(label, predicted[1])
            paired.add(label, *predicted)

    decision = decide(Gate(minimum_class_recall=0.5), challenger, EvaluatedChampion("3", champion, paired))

    assert decision.promote is promote
    assert ("its recall is 25.00% for class 1, below the minimum of 50.00%" in decision.reason) is not promote
    assert [check.passed for check in decision.checks] == [True, True, promote, promote]


def test_reason_names_all_failed_checks() -> None:
    gate = Gate(minimum_accuracy=0.9, minimum_class_recall=0.8)

    reason = decide(gate, *compare(50, 0, 30, 20)).reason

    assert "its accuracy of 50.00% is below the minimum of 90.00%; its accuracy is 50.00% on 100 images" in reason
    assert reason.endswith("; its recall is 50.00% for class 7, below the minimum of 80.00%")


@given(compared=counts, gate=gates)
def test_only_a_strictly_better_model_replaces_the_champion(compared: Counts, gate: Gate) -> None:
    challenger, champion = compare(*compared)

    if decide(gate, challenger, champion).promote:
        assert challenger.accuracy > champion.tally.accuracy
        assert challenger.accuracy >= gate.minimum_accuracy


@given(compared=counts)
def test_confidence_of_one_half_accepts_any_gain(compared: Counts) -> None:
    challenger, champion = compare(*compared)

    assert decide(ANY_GAIN, challenger, champion).promote == (challenger.accuracy > champion.tally.accuracy)


@given(compared=counts, confidences=st.tuples(st.floats(0.5, 0.999), st.floats(0.5, 0.999)))
def test_higher_confidence_never_promotes_more(compared: Counts, confidences: tuple[float, float]) -> None:
    less, more = (
        decide(Gate(gain_confidence=confidence), *compare(*compared)).promote for confidence in sorted(confidences)
    )

    assert less or not more


@given(compared=counts, gate=gates)
def test_two_models_never_replace_each_other(compared: Counts, gate: Gate) -> None:
    both, won, lost, neither = compared
    replaces = decide(gate, *compare(both, won, lost, neither)).promote
    is_replaced = decide(gate, *compare(both, lost, won, neither)).promote

    assert not (replaces and is_replaced)


@given(compared=counts, is_first=st.booleans())
def test_manual_never_promotes(compared: Counts, is_first: bool) -> None:
    challenger, champion = compare(*compared)

    assert not decide(Gate(promote=Promotion.MANUAL), challenger, None if is_first else champion).promote


@pytest.mark.parametrize(
    ("thresholds", "sentence"),
    [
        ({"promote": "always"}, "promote: 'always' is unknown\\. Give auto or manual"),
        ({"minimum_accuracy": 90}, "minimum_accuracy: 90 is not within 0..1"),
        ({"minimum_accuracy": -0.1}, "minimum_accuracy: -0.1 is not within 0..1"),
        ({"minimum_accuracy": math.nan}, "minimum_accuracy: nan is not within 0..1"),
        ({"minimum_class_recall": 1.1}, "minimum_class_recall: 1.1 is not within 0..1"),
        ({"minimum_gain": 2}, "minimum_gain: 2 is not within -1..1"),
        ({"gain_confidence": 1}, "gain_confidence: 1 is not in the range from 0.5 to below 1"),
        ({"gain_confidence": 0.4}, "gain_confidence: 0.4 is not in the range from 0.5"),
        ({"minimum_class_images": 0}, "minimum_class_images: 0 is less than 1"),
    ],
)
def test_threshold_out_of_range_raises_error(thresholds: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=f"^{sentence}"):
        parse(Gate, thresholds)


def test_class_falling_from_95_percent_to_0_blocks_by_default() -> None:
    """The other class improves so much that the gain alone would promote."""
    compared = compare_classes({7: (0, 0, 38, 2), 8: (200, 150, 0, 50)})

    decision = decide(AUTO, *compared, {7: "flag", 8: "bear"})

    assert not decision.promote
    assert decision.reason == (
        "class flag (recall 0.00% instead of 95.00% on 40 images) is significantly worse than under version 3, the"
        " champion"
    )


@pytest.mark.parametrize("classes", [1, 10, 250])
def test_lost_class_blocks_for_any_number_of_classes(classes: int) -> None:
    equal = dict.fromkeys(range(1, classes), (19, 0, 0, 1))

    decision = decide(CLASSES_ONLY, *compare_classes({0: (0, 0, 19, 1), **equal}))

    assert not decision.promote
    assert "class 0 (recall 0.00% instead of 95.00% on 20 images) is significantly worse" in decision.reason


def test_drop_that_many_classes_explain_blocks_only_a_single_class() -> None:
    """The class loses five images and wins none.

    p is 0.031 for a single class, and 0.31 with Holm's correction for 10 classes.
    """
    dropped = (90, 0, 5, 5)

    assert not decide(CLASSES_ONLY, *compare_classes({7: dropped})).promote
    assert decide(CLASSES_ONLY, *compare_classes({7: dropped, **dict.fromkeys(range(10, 19), (90, 0, 0, 10))})).promote


def test_class_with_too_few_test_images_blocks_nothing() -> None:
    compared = compare_classes({7: (0, 0, 19, 0), 8: (19, 0, 0, 2)})

    assert decide(CLASSES_ONLY, *compared).promote
    assert not decide(CLASSES_ONLY.model_copy(update={"minimum_class_images": 19}), *compared).promote


def test_class_new_to_the_champion_blocks_nothing() -> None:
    assert decide(AUTO, *compare_classes({7: (190, 0, 0, 10), 8: (0, 10, 0, 30)})).promote


def test_class_that_the_challenger_never_predicts_blocks() -> None:
    assert not decide(AUTO, *compare_classes({7: (100, 90, 0, 10), 8: (0, 0, 30, 10)})).promote


def test_reason_names_the_three_worst_classes() -> None:
    worse = {label: (0, 0, 20 + label, 0) for label in range(5)}

    reason = decide(CLASSES_ONLY, *compare_classes({**worse, 9: (90, 0, 0, 0)})).reason

    worse_classes = next(clause for clause in reason.split("; ") if "significantly worse" in clause)
    assert re.findall(r"(\d) \(recall", worse_classes) == ["4", "3", "2"]
    assert worse_classes.endswith(") and 2 more are significantly worse than under version 3, the champion")


@pytest.mark.parametrize(
    ("challenger", "promote", "reason"),
    [
        pytest.param({7: (0, 100), 8: (0, 100)}, False, "accuracy of 0.00% on 200 images", id="no correct prediction"),
        pytest.param({7: (150, 0), 8: (0, 50)}, False, "not above the 75.00%", id="the majority class itself"),
        pytest.param({7: (20, 80), 8: (0, 100)}, False, "not above the 50.00%", id="worse than the majority class"),
        pytest.param({7: (99, 1), 8: (3, 97)}, False, "not above the 50.00%", id="better by chance"),
        pytest.param({7: (95, 5), 8: (90, 10)}, True, "above the 50.00%", id="better"),
        pytest.param({7: (980, 10), 8: (20, 0)}, True, "above the 98.02%", id="better with a rare class"),
        pytest.param(
            {7: (1, 0), 8: (1, 0)}, True, "classifies all 2 test images correctly", id="two images, both right"
        ),
        pytest.param({7: (1, 0), 8: (0, 1)}, False, "not above the 50.00%", id="two images, one right"),
        pytest.param(
            {7: (9, 1)}, True, "classifies 9 of the 10 test images correctly (all are of one class)", id="one class"
        ),
        pytest.param(
            {7: (0, 10)}, False, "classifies 0 of the 10 test images correctly", id="one class, no correct prediction"
        ),
    ],
)
def test_first_champion_must_beat_the_majority_class_by_default(
    challenger: Mapping[int, tuple[int, int]], promote: bool, reason: str
) -> None:
    decision = decide(AUTO, challenger_of(challenger), None)

    assert decision.promote is promote
    assert reason in decision.reason


def test_first_champion_by_chance_is_rare() -> None:
    """Models that guess one of 10 classes pass in at most 20 % of cases.

    This rate is 1 - `gain_confidence`.
    """
    random = np.random.default_rng(7)
    promoted = sum(
        decide(AUTO, challenger_of({label: (right, 20 - right) for label, right in enumerate(found)}), None).promote
        for found in random.binomial(20, 0.1, (2_000, 10)).tolist()
    )

    # At a true rate of 20 %, one of a thousand tests exceeds this count.
    assert promoted <= binom.ppf(0.999, 2_000, 0.2)


@given(right=st.lists(st.integers(0, 50), min_size=2, max_size=5), wrong=st.integers(0, 50))
def test_first_champion_without_confidence_needs_any_lead_over_the_majority_class(right: list[int], wrong: int) -> None:
    challenger = challenger_of({label: (count, wrong) for label, count in enumerate(right)})
    assume(challenger.total)
    majority = max(count + wrong for count in right)
    assume(majority < challenger.total)

    assert decide(ANY_GAIN, challenger, None).promote == (
        challenger.correct > majority or challenger.correct == challenger.total
    )

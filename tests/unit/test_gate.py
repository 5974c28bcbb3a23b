"""The gate's rules: single cases, and properties of random counts."""

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import binom

from components.errors import InputError
from components.evaluate_classifier.comparison import Comparison, GroupOutcome, ImageGroup
from components.evaluate_classifier.gate import Decision, decide
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
# Whether challenger and champion are right, in the order of `Counts`.
_OUTCOMES = ((True, True), (True, False), (False, True), (False, False))


def compare(classes: Mapping[int, Counts]) -> Comparison:
    """Return a comparison with a champion, given the counts of each class.

    Wrong predictions are of class 99.
    """
    rows = [
        (label, label if ours else 99, label if theirs else 99, count)
        for label, counts in classes.items()
        for (ours, theirs), count in zip(_OUTCOMES, counts, strict=True)
    ]
    return comparison_of(
        GroupOutcome(
            Tally.of((true, ours, count) for true, ours, _, count in rows),
            Tally.of((true, theirs, count) for true, _, theirs, count in rows),
            Paired.of((true, ours == true, theirs == true, count) for true, ours, theirs, count in rows),
        ),
        "3",
    )


def comparison_of(measured: GroupOutcome, version: str = "", is_challenger: bool = False) -> Comparison:
    groups = dict.fromkeys(ImageGroup, GroupOutcome(Tally.of([]), None, None)) | {ImageGroup.MEASURED: measured}
    return Comparison(groups, version, is_challenger)


def first(classes: Mapping[int, tuple[int, int]]) -> Comparison:
    """Return a comparison without a champion, given the numbers of correct and wrong predictions of each class."""
    rows = [
        (label, predicted, count)
        for label, counts in classes.items()
        for predicted, count in zip((label, None), counts, strict=True)
    ]
    return comparison_of(GroupOutcome(Tally.of(rows), None, None))


def decide_one_class(gate: Gate, counts: Counts) -> Decision:
    return decide(gate, compare({7: counts}))


@pytest.mark.parametrize(
    ("gate", "comparison", "promote", "reason"),
    [
        (AUTO, first({7: (9, 0)}), True, "there is no champion yet, and it classifies all 9 test images correctly"),
        (Gate(minimum_accuracy=0.9), first({7: (9, 1)}), True, "there is no champion yet"),
        (
            Gate(minimum_accuracy=0.9),
            first({7: (89, 11)}),
            False,
            "its accuracy of 89.00% is below the minimum of 90.00%",
        ),
        (Gate(minimum_class_recall=0.5), first({7: (4, 15)}), True, "there is no champion yet"),
        (
            Gate(minimum_class_recall=0.5),
            first({7: (4, 16)}),
            False,
            "its recall is 20.00% for class flag, below the minimum of 50",
        ),
        (Gate(promote=Promotion.MANUAL), first({7: (9, 0)}), False, "promotion is manual; there is no champion yet"),
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
def test_first_model_must_reach_the_minimum_accuracy(
    gate: Gate, comparison: Comparison, promote: bool, reason: str
) -> None:
    decision = decide(gate, comparison, {7: "flag"})

    assert decision.promote is promote
    assert reason in decision.reason


@pytest.mark.parametrize(
    ("gate", "compared", "promote", "reason"),
    [
        pytest.param(AUTO, (88, 3, 2, 7), False, "which is not significant (p 0.5, level 0.05)", id="better by chance"),
        pytest.param(
            ANY_GAIN, (88, 3, 2, 7), True, "is significant (p 0.5, level 0.5)", id="better without confidence"
        ),
        pytest.param(AUTO, (880, 30, 20, 70), False, "+1.00 points, which is not significant (p 0.1", id="p of 10 %"),
        pytest.param(AUTO, (880, 32, 18, 70), True, "+1.40 points, which is significant (p 0.032", id="p of 3 %"),
        pytest.param(
            Gate(gain_confidence=0.99), (880, 32, 18, 70), False, "level 0.01", id="p of 3 %, with higher confidence"
        ),
        pytest.param(ANY_GAIN, (90, 0, 0, 10), False, "and version 3, the champion, has 90.00%: a gain", id="equal"),
        pytest.param(ANY_GAIN, (880, 20, 30, 70), False, "accuracy is 90.00% on 1,000 images", id="worse"),
        pytest.param(
            Gate(minimum_gain=0.02),
            (880, 42, 8, 70),
            True,
            "+3.40 points, at least +2.22 points (95% confidence), which is above the minimum of +2.00",
            id="better by enough",
        ),
        pytest.param(
            Gate(minimum_gain=0.03),
            (880, 42, 8, 70),
            False,
            "not above the minimum of +3.00",
            id="better by too little",
        ),
        pytest.param(
            Gate(minimum_gain=-0.03), (880, 20, 30, 70), True, "-3.00 points", id="worse by an allowed amount"
        ),
        pytest.param(
            Gate(minimum_gain=-0.02), (880, 20, 30, 70), False, "-2.00 points", id="perhaps worse by more than allowed"
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
        pytest.param(Gate(promote=Promotion.MANUAL), (50, 0, 40, 10), False, "not significant", id="manual, worse"),
    ],
)
def test_later_model_must_be_significantly_better(gate: Gate, compared: Counts, promote: bool, reason: str) -> None:
    decision = decide_one_class(gate, compared)

    assert decision.promote is promote
    assert reason in decision.reason


def test_champion_is_not_replaced_by_itself() -> None:
    measured = compare({7: (9, 0, 0, 1)}).measured

    decision = decide(AUTO, comparison_of(measured, "3", is_challenger=True))

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
    ours, theirs = recalls
    both = min(recalls)
    counts = both, ours - both, theirs - both, 40 - max(recalls)

    decision = decide(Gate(minimum_class_recall=0.5), compare({1: counts, 2: (200, 190, 0, 10)}))

    assert decision.promote is promote
    assert ("its recall is 25.00% for class 1, below the minimum of 50.00%" in decision.reason) is not promote
    assert [check.passed for check in decision.checks] == [True, True, promote, promote]


def test_reason_names_all_failed_checks() -> None:
    gate = Gate(minimum_accuracy=0.9, minimum_class_recall=0.8)

    reason = decide_one_class(gate, (50, 0, 30, 20)).reason

    assert "its accuracy of 50.00% is below the minimum of 90.00%; its accuracy is 50.00% on 100 images" in reason
    assert reason.endswith("; its recall is 50.00% for class 7, below the minimum of 80.00%")


@given(compared=counts, gate=gates)
def test_only_a_strictly_better_model_replaces_the_champion(compared: Counts, gate: Gate) -> None:
    both, won, lost, _ = compared

    if decide_one_class(gate, compared).promote:
        assert won > lost
        assert (both + won) / sum(compared) >= gate.minimum_accuracy


@given(compared=counts)
def test_confidence_of_one_half_accepts_any_gain(compared: Counts) -> None:
    _, won, lost, _ = compared

    assert decide_one_class(ANY_GAIN, compared).promote == (won > lost)


@given(compared=counts, confidences=st.tuples(st.floats(0.5, 0.999), st.floats(0.5, 0.999)))
def test_higher_confidence_never_promotes_more(compared: Counts, confidences: tuple[float, float]) -> None:
    less, more = (
        decide_one_class(Gate(gain_confidence=confidence), compared).promote for confidence in sorted(confidences)
    )

    assert less or not more


@given(compared=counts, gate=gates)
def test_two_models_never_replace_each_other(compared: Counts, gate: Gate) -> None:
    both, won, lost, neither = compared
    replaces = decide_one_class(gate, (both, won, lost, neither)).promote
    is_replaced = decide_one_class(gate, (both, lost, won, neither)).promote

    assert not (replaces and is_replaced)


@given(compared=counts, is_first=st.booleans())
def test_manual_never_promotes(compared: Counts, is_first: bool) -> None:
    comparison = first({7: (compared[0], compared[1])}) if is_first else compare({7: compared})
    assume(comparison.measured.challenger.total)

    assert not decide(Gate(promote=Promotion.MANUAL), comparison).promote


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
    comparison = compare({7: (0, 0, 38, 2), 8: (200, 150, 0, 50)})

    decision = decide(AUTO, comparison, {7: "flag", 8: "bear"})

    assert not decision.promote
    assert decision.reason == (
        "class flag (recall 0.00% instead of 95.00% on 40 images) is significantly worse than under version 3, the"
        " champion"
    )


@pytest.mark.parametrize("classes", [1, 10, 250])
def test_lost_class_blocks_for_any_number_of_classes(classes: int) -> None:
    equal = dict.fromkeys(range(1, classes), (19, 0, 0, 1))

    decision = decide(CLASSES_ONLY, compare({0: (0, 0, 19, 1), **equal}))

    assert not decision.promote
    assert "class 0 (recall 0.00% instead of 95.00% on 20 images) is significantly worse" in decision.reason


def test_drop_that_many_classes_explain_blocks_only_a_single_class() -> None:
    """The class loses five images and wins none.

    p is 0.031 for a single class, and 0.31 with Holm's correction for 10 classes.
    """
    dropped = (90, 0, 5, 5)

    assert not decide(CLASSES_ONLY, compare({7: dropped})).promote
    assert decide(CLASSES_ONLY, compare({7: dropped, **dict.fromkeys(range(10, 19), (90, 0, 0, 10))})).promote


def test_class_with_too_few_test_images_blocks_nothing() -> None:
    comparison = compare({7: (0, 0, 19, 0), 8: (19, 0, 0, 2)})

    assert decide(CLASSES_ONLY, comparison).promote
    assert not decide(CLASSES_ONLY.model_copy(update={"minimum_class_images": 19}), comparison).promote


def test_class_new_to_the_champion_blocks_nothing() -> None:
    assert decide(AUTO, compare({7: (190, 0, 0, 10), 8: (0, 10, 0, 30)})).promote


def test_class_that_the_challenger_never_predicts_blocks() -> None:
    assert not decide(AUTO, compare({7: (100, 90, 0, 10), 8: (0, 0, 30, 10)})).promote


def test_reason_names_the_three_worst_classes() -> None:
    worse = {label: (0, 0, 20 + label, 0) for label in range(5)}

    reason = decide(CLASSES_ONLY, compare({**worse, 9: (90, 0, 0, 0)})).reason

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
    decision = decide(AUTO, first(challenger))

    assert decision.promote is promote
    assert reason in decision.reason


def test_first_champion_by_chance_is_rare() -> None:
    """Models that guess one of 10 classes pass in at most 5 % of cases.

    This rate is 1 - `gain_confidence`.
    """
    random = np.random.default_rng(7)
    promoted = sum(
        decide(AUTO, first({label: (right, 20 - right) for label, right in enumerate(found)})).promote
        for found in random.binomial(20, 0.1, (2_000, 10)).tolist()
    )

    # At a true rate of 5 %, one of a thousand tests exceeds this count.
    assert promoted <= binom.ppf(0.999, 2_000, 0.05)


@given(right=st.lists(st.integers(0, 50), min_size=2, max_size=5), wrong=st.integers(0, 50))
def test_first_champion_without_confidence_needs_any_lead_over_the_majority_class(right: list[int], wrong: int) -> None:
    comparison = first({label: (count, wrong) for label, count in enumerate(right)})
    challenger = comparison.measured.challenger
    assume(challenger.total)
    majority = max(count + wrong for count in right)
    assume(majority < challenger.total)

    assert decide(ANY_GAIN, comparison).promote == (
        challenger.correct > majority or challenger.correct == challenger.total
    )


@pytest.mark.parametrize("classes", [1, 2, 250])
def test_first_model_without_a_correct_prediction_never_passes(classes: int) -> None:
    """Not even the most permissive gate promotes it."""
    permissive = Gate(gain_confidence=0.5, minimum_gain=-1, minimum_accuracy=0, minimum_class_recall=0)

    decision = decide(permissive, first(dict.fromkeys(range(classes), (0, 40))))

    assert not decision.promote
    assert decision.checks[0].passed


@pytest.mark.parametrize("group", [ImageGroup.REQUESTED, ImageGroup.FRESH])
@pytest.mark.parametrize("better", [True, False])
def test_only_measured_images_decide(group: ImageGroup, better: bool) -> None:
    """In the other groups, the opposite model is far better."""
    outcomes = [compare({7: (900, won, lost, 0)}).measured for won, lost in ((90, 10), (10, 90))]
    measured, other = outcomes if better else outcomes[::-1]
    comparison = comparison_of(measured, "3")

    decision = decide(AUTO, replace(comparison, groups={**comparison.groups, group: other}))

    assert decision.promote is better


def test_decision_states_the_level_of_the_test_of_the_gain() -> None:
    assert decide_one_class(Gate(gain_confidence=0.9), (90, 3, 2, 5)).gain_level == pytest.approx(0.1)
    assert decide(AUTO, first({7: (9, 1)})).gain_level is None

"""The gate stays honest over a year of weekly retrainings, by a smaller simulation than the benchmark's."""

import numpy as np
import pytest

from benchmarks.gate_simulation import blocked_by_classes, earlier_rule, exact_rule, simulate_year
from components.evaluate_classifier.comparison import Comparison, GroupOutcome, ImageGroup
from components.evaluate_classifier.gate import decide
from components.evaluate_classifier.tally import Paired, Tally
from components.parameters import Gate

SIMULATIONS = 1_000


def test_gate_promotes_few_equal_models_and_most_better_ones_over_a_year() -> None:
    """The bounds are those of the design. With this number of simulations, the distance to them is no chance."""
    year = simulate_year(exact_rule, SIMULATIONS, seed=1)

    assert year.promotions.mean() <= 0.7
    assert (year.promotions >= 2).mean() <= 0.05
    assert year.passed_first >= 0.85
    assert year.passed_last >= 0.9


def test_simulation_finds_the_faults_of_the_earlier_rule() -> None:
    """A confidence of 80 % on a fixed set promotes equal models, and then blocks better ones."""
    year = simulate_year(earlier_rule, SIMULATIONS, seed=1, grows=False)

    assert year.promotions.mean() > 1
    assert (year.promotions >= 2).mean() > 0.2
    assert year.passed_last < year.passed_first - 0.1


@pytest.mark.parametrize("gain", [0.0, 0.01])
def test_simulated_rules_decide_as_the_gate_does(gain: float) -> None:
    random = np.random.default_rng(2)
    classes, images = 5, 200
    won, lost = 0.09 + gain, 0.09
    counts = random.multinomial(images, [won, lost, 1 - won - lost], (300, classes))
    totals = counts.sum(axis=1)
    simulated = exact_rule(totals[:, 0], totals[:, 1], classes * images)
    simulated &= ~blocked_by_classes(counts[..., 0], counts[..., 1])

    decided = [decide(Gate(), _comparison(each)).promote for each in counts.tolist()]

    assert simulated.tolist() == decided
    assert 0 < simulated.sum() < len(simulated)


def _comparison(counts: list[list[int]]) -> Comparison:
    """Return a comparison, given for each class the numbers of images won, lost, and correct for both models."""
    rows = [
        (label, ours, theirs, count)
        for label, of_class in enumerate(counts)
        for (ours, theirs), count in zip(((True, False), (False, True), (True, True)), of_class, strict=True)
    ]
    measured = GroupOutcome(
        Tally.of((label, label if ours else None, count) for label, ours, _, count in rows),
        Tally.of((label, label if theirs else None, count) for label, _, theirs, count in rows),
        Paired.of(rows),
    )
    empty = GroupOutcome(Tally.of([]), Tally.of([]), Paired.of([]))
    return Comparison(dict.fromkeys(ImageGroup, empty) | {ImageGroup.MEASURED: measured}, "3", is_challenger=False)

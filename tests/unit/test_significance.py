"""Paired tests match SciPy's, their power is the stated one, and Holm's correction limits false alarms."""

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom, binomtest

from components.evaluate_classifier.significance import compare_gain, detectable_gain, holm, paired_p_values

LEVEL = 0.05
SIMULATIONS = 2_000

probabilities = st.lists(st.floats(0, 1), min_size=1, max_size=30)


@given(st.integers(0, 2_000), st.integers(0, 2_000))
def test_paired_p_value_matches_scipys_exact_binomial_test(worse: int, better: int) -> None:
    expected = binomtest(worse, worse + better, alternative="greater").pvalue if worse + better else 1

    assert paired_p_values(worse, better) == pytest.approx(expected)


counts = st.integers(0, 300)


@given(counts, counts, counts, st.floats(0.5, 0.999))
# The lower bound of the interval is below 0.
@example(won=10, lost=0, same=100, confidence=0.999)
def test_gain_above_0_is_decided_by_the_exact_test_alone(won: int, lost: int, same: int, confidence: float) -> None:
    p_value = paired_p_values(won, lost)
    # Rounding decides if both are almost equal.
    assume(abs(p_value - (1 - confidence)) > 1e-8)

    gain = compare_gain(won, lost, won + lost + same + 1, 0, confidence)

    assert gain.passed == (p_value <= 1 - confidence)
    assert (gain.low > 0) <= gain.passed


@given(counts, counts, counts, st.tuples(st.floats(-1, 1), st.floats(-1, 1)))
def test_higher_minimum_gain_never_passes_more(won: int, lost: int, same: int, minimums: tuple[float, float]) -> None:
    less, more = (compare_gain(won, lost, won + lost + same + 1, minimum, 0.95).passed for minimum in sorted(minimums))

    assert less or not more


@pytest.mark.parametrize("minimum", [-0.02, 0, 0.01])
def test_gain_of_exactly_the_minimum_passes_in_about_5_percent_of_simulations(minimum: float) -> None:
    random = np.random.default_rng(3)
    images, won, lost = 5_000, 0.03 + minimum / 2, 0.03 - minimum / 2
    counted = random.multinomial(images, [won, lost, 1 - won - lost], SIMULATIONS).tolist()

    passed = sum(compare_gain(won, lost, images, minimum, 0.95).passed for won, lost, _ in counted)

    # At a true rate of 5 %, one of a thousand tests is outside these counts.
    assert binom.ppf(0.0005, SIMULATIONS, LEVEL) <= passed <= binom.ppf(0.9995, SIMULATIONS, LEVEL)


@pytest.mark.parametrize(("images", "discordance"), [(5_000, 0.06), (10_200, 0.06), (720, 0.25), (200, 0.5)])
def test_detectable_gain_is_detected_with_a_probability_of_80_percent(images: int, discordance: float) -> None:
    """The exact test is slightly conservative, so it detects the gain a little less often."""
    gain = detectable_gain(images, discordance, LEVEL, power=0.8)
    assert gain is not None
    random = np.random.default_rng(5)
    won, lost = (discordance + gain) / 2, (discordance - gain) / 2
    counted = random.multinomial(images, [won, lost, 1 - discordance], SIMULATIONS)

    detected = (paired_p_values(counted[:, 0], counted[:, 1]) <= LEVEL).mean()

    assert 0.74 <= detected <= 0.83


@pytest.mark.parametrize(("images", "discordance"), [(5_000, 0.0), (20, 0.1), (1, 1.0)])
def test_no_gain_is_detectable_with_few_differences(images: int, discordance: float) -> None:
    assert detectable_gain(images, discordance, LEVEL) is None


def test_holm_matches_a_worked_example() -> None:
    # 0.01 x 4, 0.02 x 3, 0.03 x 2 and 0.04 x 1, each raised to the value before it.
    assert holm([0.03, 0.01, 0.04, 0.02]).tolist() == pytest.approx([0.06, 0.04, 0.06, 0.06])


@given(probabilities)
def test_holm_is_between_no_correction_and_bonferroni(values: list[float]) -> None:
    corrected = holm(values)

    assert (corrected >= values).all()
    assert (corrected <= np.minimum(1, np.array(values) * len(values))).all()
    assert corrected.min() == pytest.approx(min(1, min(values) * len(values)))


def test_holm_of_no_tests_is_empty() -> None:
    assert holm([]).tolist() == []


def blocked(lost: NDArray[np.int64], won: NDArray[np.int64]) -> int:
    """Return the number of simulations in which a class blocks.

    The counts have shape (simulations, classes).
    """
    return sum(bool((holm(p_values) <= LEVEL).any()) for p_values in paired_p_values(lost, won))


@pytest.mark.parametrize(("classes", "images"), [(1, 200), (10, 200), (10, 20), (250, 20), (250, 100)])
@pytest.mark.parametrize("mistakes", [0.05, 0.1, 0.3])
def test_equal_models_are_blocked_in_5_percent_of_simulations_at_most(
    classes: int, images: int, mistakes: float
) -> None:
    """Both models misclassify this fraction of each class, independently."""
    random = np.random.default_rng(16)
    only_one = mistakes * (1 - mistakes)
    counts = random.multinomial(images, [only_one, only_one, 1 - 2 * only_one], (SIMULATIONS, classes))

    # At a true rate of 5 %, one of a thousand tests exceeds this count.
    assert blocked(counts[..., 0], counts[..., 1]) <= binom.ppf(0.999, SIMULATIONS, LEVEL)


@pytest.mark.parametrize(("classes", "images"), [(10, 200), (250, 20), (250, 100)])
def test_class_falling_from_95_percent_to_0_is_blocked_in_every_simulation(classes: int, images: int) -> None:
    assert power(classes, images, recall=0.0) == 1


@pytest.mark.parametrize(
    ("classes", "images", "recall", "probability"),
    [(10, 200, 0.85, 0.70), (10, 200, 0.80, 0.95), (10, 20, 0.50, 0.55), (250, 100, 0.75, 0.55), (250, 20, 0.20, 0.75)],
)
def test_class_falling_from_95_percent_is_blocked_with_the_stated_probability(
    classes: int, images: int, recall: float, probability: float
) -> None:
    assert power(classes, images, recall) >= probability


def power(classes: int, images: int, recall: float) -> float:
    """Return the fraction of simulations in which the first class blocks.

    Its recall falls from 95 % to `recall`. For all other classes, both models have a recall of 95 %.
    """
    random = np.random.default_rng(16)
    only_one = 0.95 * 0.05
    counts = random.multinomial(images, [only_one, only_one, 1 - 2 * only_one], (SIMULATIONS, classes))
    lost, won = 0.95 * (1 - recall), recall * 0.05
    counts[:, 0] = random.multinomial(images, [lost, won, 1 - lost - won], SIMULATIONS)
    blocking = sum(bool(holm(p_values)[0] <= LEVEL) for p_values in paired_p_values(counts[..., 0], counts[..., 1]))
    return blocking / SIMULATIONS

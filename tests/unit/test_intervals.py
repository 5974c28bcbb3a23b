"""Confidence intervals match SciPy's and published examples, and have their stated coverage."""

import math
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from components.intervals import fraction_interval, gain_interval


@given(
    st.integers(1, 3000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))), st.floats(0, 0.999)
)
def test_interval_of_a_fraction_is_wilsons(counts: tuple[int, int], confidence: float) -> None:
    expected = binomtest(*counts).proportion_ci(confidence, method="wilson")

    assert fraction_interval(*counts, confidence) == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize(("won", "lost"), [(0.02, 0.02), (0.1, 0.05), (0.3, 0.0), (0.45, 0.45)])
@pytest.mark.parametrize("total", [12, 60])
def test_interval_of_a_gain_has_its_stated_coverage(total: int, won: float, lost: float) -> None:
    coverage = 0.0
    for first, second in product(range(total + 1), repeat=2):
        if first + second <= total:
            low, high = gain_interval(first, second, total, 0.9)
            ways = math.comb(total, first) * math.comb(total - first, second)
            chance = ways * won**first * lost**second * (1 - won - lost) ** (total - first - second)
            coverage += chance * (low <= won - lost <= high)

    assert coverage >= 0.88


def test_interval_of_a_gain_matches_the_worked_example() -> None:
    # Fagerland, Lydersen and Laake, Statistical Analysis of Contingency Tables, chapter 8: 161 patients, 6 of whom
    # responded only before a therapy and 16 only after it.
    assert gain_interval(6, 16, 161) == pytest.approx((-0.1195, -0.0032), abs=5e-5)


@given(won=st.integers(0, 500), lost=st.integers(0, 500), others=st.integers(0, 500), confidence=st.floats(0, 0.999))
def test_interval_of_a_gain_is_negated_with_swapped_sides(won: int, lost: int, others: int, confidence: float) -> None:
    total = max(won + lost + others, 1)
    low, high = gain_interval(won, lost, total, confidence)

    assert -1 <= low <= high <= 1
    assert gain_interval(lost, won, total, confidence) == pytest.approx((-high, -low))

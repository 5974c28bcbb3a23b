"""Divergence of predicted classes from the classes of the training set."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from components.score_images.class_fractions import DIVERGENCE_LIMIT, ClassFractions

counts = st.dictionaries(st.integers(1, 8), st.integers(1, 400), min_size=1)


def sample(fractions: "np.typing.NDArray[np.float64]", size: int, seed: int) -> dict[int, int]:
    """Return the number of images of each class in a random sample."""
    drawn = np.random.default_rng(seed).multinomial(size, fractions)
    return {label: int(count) for label, count in enumerate(drawn) if count}


@given(predicted=counts, trained=counts)
def test_divergence_matches_scipys_jensen_shannon_distance(predicted: dict[int, int], trained: dict[int, int]) -> None:
    labels = sorted(predicted.keys() | trained.keys())
    distance = jensenshannon(*([side.get(label, 0) for label in labels] for side in (predicted, trained)), base=2)

    assert ClassFractions(predicted, trained).divergence == pytest.approx(distance**2, abs=1e-9)


def test_equal_fractions_have_divergence_0_and_disjoint_classes_1() -> None:
    assert ClassFractions({1: 10, 2: 20}, {1: 100, 2: 200}).divergence == pytest.approx(0)
    disjoint = ClassFractions({1: 30, 2: 20}, {3: 100})
    assert disjoint.divergence == pytest.approx(1)
    assert disjoint.diverges


def test_few_images_of_many_classes_give_no_warning() -> None:
    fractions = np.full(257, 1 / 257)

    samples = [
        ClassFractions(sample(fractions, 300, seed), sample(fractions, 30_000, 100 + seed)) for seed in range(20)
    ]

    assert all(each.divergence > 2 * DIVERGENCE_LIMIT for each in samples)
    assert not any(each.diverges for each in samples)


def test_small_difference_gives_no_warning_for_any_number_of_images() -> None:
    fractions = ClassFractions({1: 52_000, 2: 48_000}, {1: 50_000, 2: 50_000})

    assert fractions.divergence > fractions.chance_divergence
    assert not fractions.diverges


@pytest.mark.parametrize(("size", "expected"), [(4, False), (60, True)])
def test_large_difference_gives_a_warning_with_enough_images(size: int, expected: bool) -> None:
    assert ClassFractions({1: size // 2, 2: size // 2}, {1: 900, 2: 100}).diverges is expected


def test_largest_difference_comes_first() -> None:
    fractions = ClassFractions({1: 50, 2: 50}, {1: 45, 2: 25, 3: 30})

    assert fractions.labels == [3, 2, 1]
    assert (fractions.predicted_fraction(3), fractions.trained_fraction(3)) == (0, 0.3)

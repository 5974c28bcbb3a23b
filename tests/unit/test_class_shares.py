"""Classes predicted beside classes trained on: how far they part, and that chance gives no warning."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from components.score_images.class_shares import DIVERGENCE_LIMIT, ClassShares

counts = st.dictionaries(st.integers(1, 8), st.integers(1, 400), min_size=1)


def sample(shares: "np.typing.NDArray[np.float64]", size: int, seed: int) -> dict[int, int]:
    """Return how often each class comes up in a sample of images."""
    drawn = np.random.default_rng(seed).multinomial(size, shares)
    return {label: int(count) for label, count in enumerate(drawn) if count}


@given(predicted=counts, trained=counts)
def test_the_divergence_is_jensen_and_shannons(predicted: dict[int, int], trained: dict[int, int]) -> None:
    labels = sorted(predicted.keys() | trained.keys())
    distance = jensenshannon(*([side.get(label, 0) for label in labels] for side in (predicted, trained)), base=2)

    assert ClassShares(predicted, trained).divergence == pytest.approx(distance**2, abs=1e-9)


def test_equal_shares_do_not_part_and_other_classes_part_wholly() -> None:
    assert ClassShares({1: 10, 2: 20}, {1: 100, 2: 200}).divergence == pytest.approx(0)
    apart = ClassShares({1: 30, 2: 20}, {3: 100})
    assert apart.divergence == pytest.approx(1)
    assert apart.part


def test_few_images_of_many_classes_are_no_warning() -> None:
    shares = np.full(257, 1 / 257)

    parts = [ClassShares(sample(shares, 300, seed), sample(shares, 30_000, 100 + seed)) for seed in range(20)]

    assert all(each.divergence > 2 * DIVERGENCE_LIMIT for each in parts)
    assert not any(each.part for each in parts)


def test_a_small_difference_is_no_warning_however_many_images_show_it() -> None:
    part = ClassShares({1: 52_000, 2: 48_000}, {1: 50_000, 2: 50_000})

    assert part.divergence > part.chance
    assert not part.part


@pytest.mark.parametrize(("size", "expected"), [(4, False), (60, True)])
def test_a_large_difference_is_a_warning_once_there_are_images_enough(size: int, expected: bool) -> None:
    assert ClassShares({1: size // 2, 2: size // 2}, {1: 900, 2: 100}).part is expected


def test_the_largest_difference_comes_first() -> None:
    part = ClassShares({1: 50, 2: 50}, {1: 45, 2: 25, 3: 30})

    assert part.labels == [3, 2, 1]
    assert (part.predicted_share(3), part.trained_share(3)) == (0, 0.3)

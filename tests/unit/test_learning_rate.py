"""The learning rate by step, and the warning about trainings with too few steps."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.train_classifier.learning_rate import (
    MINIMUM_STEPS,
    learning_rate,
    warm_up_epochs,
    warm_up_steps,
    warning_of_few_steps,
)

steps = st.integers(1, 10_000)
ranks = st.integers(1, 64)
rates = st.floats(1e-6, 1.0)


@given(total=steps, number=ranks, base=rates)
def test_rate_rises_to_the_base_rate_times_the_square_root_of_the_ranks(total: int, number: int, base: float) -> None:
    found = [learning_rate(step, total, number, base) for step in range(total)]

    assert found == sorted(found)
    assert found[0] > 0
    assert found[-1] == pytest.approx(base * math.sqrt(number))


@given(total=steps, base=rates)
def test_rate_of_one_rank_rises_to_the_base_rate(total: int, base: float) -> None:
    assert learning_rate(total - 1, total, 1, base) == base


@given(total=st.integers(50, 10_000), number=ranks, base=rates)
def test_warm_up_takes_10_to_20_percent_of_the_steps(total: int, number: int, base: float) -> None:
    full = learning_rate(total - 1, total, number, base)
    rising = sum(learning_rate(step, total, number, base) < full for step in range(total))

    assert rising == warm_up_steps(total)
    assert 0.1 * total <= rising <= 0.2 * total


@given(total=steps, number=ranks, base=rates, step=st.integers(0, 20_000))
def test_rate_stays_full_after_the_warm_up(total: int, number: int, base: float, step: int) -> None:
    later = warm_up_steps(total) + step
    assert learning_rate(later, total, number, base) == base * math.sqrt(number)


@given(of_epoch=st.integers(1, 1000), epochs=st.integers(1, 50))
def test_warm_up_epochs_contain_the_warm_up_steps(of_epoch: int, epochs: int) -> None:
    within = warm_up_epochs(of_epoch, epochs)
    rising = warm_up_steps(of_epoch * epochs)

    assert (within - 1) * of_epoch < rising <= within * of_epoch or (rising, within) == (0, 0)


def test_training_of_50_steps_has_no_warning() -> None:
    assert warning_of_few_steps(50, images=900, batch_size=32, epochs=12, ranks=8) == ""


@pytest.mark.parametrize(
    ("images", "epochs", "number", "fewer"),
    [(900, 12, 8, 7), (320, 6, 8, 1), (320, 10, 4, 2), (1000, 1, 64, None), (10, 3, 1, None)],
)
def test_warning_of_few_steps_recommends_the_most_ranks_with_50_steps(
    images: int, epochs: int, number: int, fewer: int | None
) -> None:
    def total(of: int) -> int:
        return epochs * math.ceil(images / of / 32)

    warning = warning_of_few_steps(total(number), images, 32, epochs, number)

    assert warning.startswith(f"ranks: with {number}, the training has {total(number)} optimizer steps in total, but")
    if fewer is None:
        assert "more epochs, a smaller batch_size or more images." in warning
    else:
        assert warning.endswith(" Use 1 rank." if fewer == 1 else f" Use {fewer} or fewer ranks.")
        assert total(fewer) >= MINIMUM_STEPS > total(fewer + 1)

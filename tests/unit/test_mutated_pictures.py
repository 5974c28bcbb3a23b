"""A hundred mutated pictures of each format; `tests/slow/test_mutated_pictures.py` has 3,000."""

from collections.abc import Iterator

import pytest

from tests.support.mutation_check import MutationCheck
from tests.support.mutations import mutated, originals

COUNT = 100


@pytest.fixture(scope="module")
def check() -> Iterator[MutationCheck]:
    with MutationCheck() as check:
        yield check


@pytest.mark.parametrize("form", originals())
def test_mutated_picture_does_no_harm_and_model_agrees_with_ingest(check: MutationCheck, form: str) -> None:
    outcomes = check.run(mutated(form, COUNT, seed=1))

    assert outcomes.total() == COUNT
    # Mutations that all destroy the picture, or none, would show nothing.
    assert 0 < outcomes["images"] < COUNT

"""A hundred mutated pictures of each format; `tests/slow/test_mutated_pictures.py` has 3,000."""

import pytest

from tests.support.mutation_check import check_mutations
from tests.support.mutations import mutated, originals

COUNT = 100


@pytest.mark.parametrize("form", originals())
def test_mutated_picture_does_no_harm_and_model_agrees_with_ingest(form: str) -> None:
    outcomes = check_mutations(mutated(form, COUNT, seed=1))

    assert outcomes.total() == COUNT
    # Mutations that all destroy the picture, or none, would show nothing.
    assert 0 < outcomes["images"] < COUNT

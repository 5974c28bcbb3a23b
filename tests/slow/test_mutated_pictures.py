"""3,000 mutated pictures of each format."""

from collections.abc import Iterator

import pytest

from tests.support.mutation_check import MutationCheck
from tests.support.mutations import mutated, originals

COUNT = 3000


@pytest.fixture(scope="module")
def check() -> Iterator[MutationCheck]:
    with MutationCheck() as check:
        yield check


@pytest.mark.slow
@pytest.mark.parametrize("form", originals())
def test_three_thousand_mutated_pictures_do_no_harm_and_model_agrees_with_ingest(
    check: MutationCheck, form: str
) -> None:
    outcomes = check.run(mutated(form, COUNT, seed=2))

    assert outcomes.total() == COUNT
    assert 0 < outcomes["images"] < COUNT

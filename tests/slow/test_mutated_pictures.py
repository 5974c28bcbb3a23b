"""3,000 mutated pictures of each format."""

import pytest

from tests.support.mutation_check import check_mutations
from tests.support.mutations import mutated, originals

COUNT = 3000
SEED = 2


@pytest.mark.slow
@pytest.mark.parametrize("form", originals())
def test_three_thousand_mutated_pictures_do_no_harm_and_model_agrees_with_ingest(form: str) -> None:
    outcomes = check_mutations(mutated(form, COUNT, seed=SEED))

    assert outcomes.total() == COUNT
    print(form, dict(outcomes))

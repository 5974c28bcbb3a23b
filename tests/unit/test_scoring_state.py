"""State of scoring between runs."""

from components.score_images.state import ModelState, ScoringState


def test_state_of_an_earlier_release_counts_as_none() -> None:
    earlier = '{"first_model": "image-classifier", "complete": {"image-classifier": ["2", "1"]}}'

    assert ScoringState.model_validate_json(earlier) == ScoringState()
    assert ModelState().scored_until is None

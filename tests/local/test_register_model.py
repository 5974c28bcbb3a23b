"""Registration: a version always, the champion only if the decision still holds; nothing is loaded unchecked."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from components.build_training_set.training_set import SplitName, TrainingSet
from components.errors import InputError
from components.images.digest import SAVED_MODEL_FOLDER
from components.register_model.champion import promote, roll_back
from components.register_model.register import Candidate, Registration, register_candidate
from components.register_model.registry import ModelRegistry
from tests.local.saved_model_factory import LoggedModel, constant_classifier, log_classifier
from tests.local.training_set_factory import digits, make_training_set

LABELS = (3, 5, 7)


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


@pytest.fixture(scope="module")
def models(tracking: str, tmp_path_factory: pytest.TempPathFactory) -> list[LoggedModel]:
    """Three trained models."""
    artifacts = tmp_path_factory.mktemp("artifacts")
    return [log_classifier(tracking, artifacts, constant_classifier(LABELS, label)) for label in LABELS]


@pytest.fixture(scope="module")
def training_set(tmp_path_factory: pytest.TempPathFactory) -> TrainingSet:
    return make_training_set(tmp_path_factory.mktemp("set"), {SplitName.TEST: digits(3)}, files=1)


@pytest.fixture
def registry(tracking: str, request: pytest.FixtureRequest) -> ModelRegistry:
    """A registered model of its own for each test."""
    return ModelRegistry(tracking, request.node.name)


@pytest.fixture
def candidates(models: list[LoggedModel], training_set: TrainingSet) -> list[Candidate]:
    """The models, none compared with a champion, all to be promoted."""
    return [
        Candidate(model.run_id, model.model_uri, model.digest, training_set.uri, 0.75, True, "it is good", "")
        for model in models
    ]


def changed(candidate: Candidate, **values: object) -> Candidate:
    return Candidate(**{**vars(candidate), **values})


def versions(registry: ModelRegistry, tracking: str) -> list[str]:
    return [
        str(found.version)
        for found in MlflowClient(tracking, tracking).search_model_versions(f"name = '{registry.model_name}'")
    ]


def test_a_version_tells_its_decision_and_where_it_is_from(
    registry: ModelRegistry, candidates: list[Candidate], training_set: TrainingSet
) -> None:
    assert registry.champion() is None

    registered = register_candidate(registry, candidates[0])

    champion = registry.champion()
    assert registered == Registration("1", promoted=True)
    assert champion is not None
    assert champion == registry.challenger()
    assert champion.run_id == candidates[0].run_id
    assert champion.digest == candidates[0].digest
    assert champion.tags == {
        "decision": "promoted",
        "reason": "it is good",
        "gate.reason": "it is good",
        "decided_by": "gate",
        "accuracy": "0.75",
        "compared_with": "",
        "run_id": candidates[0].run_id,
        "model.digest": candidates[0].digest,
        "training_set.id": training_set.id,
        "training_set.uri": training_set.uri,
    }


def test_registering_twice_makes_one_version(
    registry: ModelRegistry, candidates: list[Candidate], tracking: str
) -> None:
    first = register_candidate(registry, candidates[0])
    second = register_candidate(registry, candidates[0])

    assert first == second
    assert versions(registry, tracking) == [first.version]


def test_what_is_not_promoted_is_a_version_and_the_challenger(
    registry: ModelRegistry, candidates: list[Candidate]
) -> None:
    register_candidate(registry, candidates[0])

    kept = register_candidate(registry, changed(candidates[1], promote=False, reason="it is worse", compared_with="1"))

    assert kept == Registration("2", promoted=False)
    assert registry.champion() == registry.version("1")
    assert registry.challenger() == registry.version("2")
    assert registry.version("2").tags["decision"] == "kept"
    assert registry.version("2").tags["reason"] == "it is worse"


def test_the_champion_moves_only_if_it_is_still_the_one_that_was_compared(
    registry: ModelRegistry, candidates: list[Candidate]
) -> None:
    register_candidate(registry, candidates[0])
    # Both were compared with version 1, one after the other is registered.
    second = register_candidate(registry, changed(candidates[1], compared_with="1"))
    third = register_candidate(registry, changed(candidates[2], compared_with="1"))

    assert (second.promoted, third.promoted) == (True, False)
    assert registry.champion() == registry.version("2")
    tags = registry.version("3").tags
    assert tags["decision"] == "kept"
    assert "version 2 is the champion, but it was compared with version 1" in tags["reason"]


def test_a_first_champion_that_came_in_between_is_not_replaced(
    registry: ModelRegistry, candidates: list[Candidate]
) -> None:
    register_candidate(registry, candidates[0])

    late = register_candidate(registry, candidates[1])

    assert late.promoted is False
    assert registry.champion() == registry.version("1")
    assert "compared with no champion" in registry.version("2").tags["reason"]


def test_a_repeated_task_does_not_undo_a_later_promotion(registry: ModelRegistry, candidates: list[Candidate]) -> None:
    register_candidate(registry, candidates[0])
    register_candidate(registry, changed(candidates[1], compared_with="1"))
    before = registry.version("1"), registry.version("2"), registry.challenger()

    again = register_candidate(registry, candidates[0])

    assert again == Registration("1", promoted=False)
    assert registry.champion() == registry.version("2")
    assert (registry.version("1"), registry.version("2"), registry.challenger()) == before


def test_a_repeated_task_that_kept_the_champion_does_not_undo_what_came_later(
    registry: ModelRegistry, candidates: list[Candidate]
) -> None:
    register_candidate(registry, candidates[0])
    kept = changed(candidates[1], promote=False, reason="it is worse", compared_with="1")
    register_candidate(registry, kept)
    register_candidate(registry, changed(candidates[2], promote=False, reason="so is this", compared_with="1"))
    promote(registry, "2", "1", "it is the newer camera's", "ann")
    before = registry.version("2"), registry.challenger()

    again = register_candidate(registry, kept)

    assert again == Registration("2", promoted=True)
    assert (registry.version("2"), registry.challenger()) == before


def test_a_repeated_task_does_not_promote_what_a_person_rolled_back(
    registry: ModelRegistry, candidates: list[Candidate]
) -> None:
    register_candidate(registry, candidates[0])
    better = changed(candidates[1], compared_with="1")
    register_candidate(registry, better)
    roll_back(registry, "2", "it misses flags", "ann")

    again = register_candidate(registry, better)

    assert again == Registration("2", promoted=False)
    assert registry.champion() == registry.version("1")
    assert registry.version("2").tags["reason"] == "it misses flags"


def test_a_task_cut_off_before_its_tags_writes_them_when_repeated(
    registry: ModelRegistry, candidates: list[Candidate], tracking: str
) -> None:
    register_candidate(registry, candidates[0])
    client = MlflowClient(tracking, tracking)
    for tag in ("decision", "reason", "gate.reason", "decided_by", "accuracy", "compared_with"):
        client.delete_model_version_tag(registry.model_name, "1", tag)

    again = register_candidate(registry, candidates[0])

    assert again == Registration("1", promoted=True)
    assert registry.version("1").tags["decision"] == "promoted"


def test_the_champion_compared_with_itself_stays_the_champion(
    registry: ModelRegistry, candidates: list[Candidate]
) -> None:
    register_candidate(registry, candidates[0])
    before = registry.champion()

    again = register_candidate(
        registry, changed(candidates[0], promote=False, reason="it is the champion already", compared_with="1")
    )

    assert again == Registration("1", promoted=True)
    assert registry.champion() == before


def test_a_registered_model_answers_as_it_was_trained(registry: ModelRegistry, candidates: list[Candidate]) -> None:
    register_candidate(registry, candidates[1])
    champion = registry.champion()
    assert champion is not None

    classifier = registry.load(champion.model_uri, champion.digest)

    assert [prediction.label for prediction in classifier.predict([content for content, _ in digits(2)])] == [5, 5]


def test_a_tampered_model_is_refused_before_it_is_loaded(
    registry: ModelRegistry, training_set: TrainingSet, tracking: str, tmp_path: Path
) -> None:
    model = log_classifier(tracking, None, constant_classifier(LABELS, 3))
    register_candidate(
        registry, Candidate(model.run_id, model.model_uri, model.digest, training_set.uri, 1.0, True, "", "")
    )
    location = MlflowClient(tracking).get_logged_model(model.model_uri.removeprefix("models:/")).artifact_location
    graph = Path(location.removeprefix("file://")) / SAVED_MODEL_FOLDER / "saved_model.pb"
    # No SavedModel any more: loading it would raise another error.
    graph.write_bytes(b"tampered")
    champion = registry.champion()
    assert champion is not None

    with pytest.raises(InputError, match=r"model_uri: the files of 'models:/.*' are not those that were registered"):
        registry.load(champion.model_uri, champion.digest)


@pytest.mark.parametrize("uri", ["models:/m-0123", "models:/nothing/7", "runs:/0123/model", ""])
def test_a_model_that_is_not_there_is_named(registry: ModelRegistry, uri: str) -> None:
    with pytest.raises(InputError, match=f"^model_uri: .*'{uri}'"):
        registry.load(uri, "0" * 64)


def test_an_unknown_version_is_named(registry: ModelRegistry, candidates: list[Candidate]) -> None:
    register_candidate(registry, candidates[0])

    with pytest.raises(InputError, match="has no version '9'"):
        registry.version("9")

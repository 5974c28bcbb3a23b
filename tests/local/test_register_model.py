"""Registration of models, and promotion by the gate's decision."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from components.errors import InputError
from components.preprocessing.digest import SAVED_MODEL_FOLDER
from components.register_model.register import Candidate, Registration, register_candidate
from components.registry.champion import promote, roll_back
from components.registry.model_registry import ModelRegistry
from components.storage.files import Files
from components.training_set.manifest import SplitName, TrainingSet
from tests.support.saved_model_factory import LoggedModel, constant_classifier, log_classifier
from tests.support.tracking import make_tracking
from tests.support.training_set_factory import digits, make_training_set

LABELS = (3, 5, 7)


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_tracking(tmp_path_factory.mktemp("mlflow"))


@pytest.fixture(scope="module")
def models(tracking: str, tmp_path_factory: pytest.TempPathFactory) -> list[LoggedModel]:
    """Three logged models, each of which predicts one class."""
    artifacts = tmp_path_factory.mktemp("artifacts")
    return [log_classifier(tracking, artifacts, constant_classifier(LABELS, label)) for label in LABELS]


@pytest.fixture(scope="module")
def training_set(tmp_path_factory: pytest.TempPathFactory) -> TrainingSet:
    return make_training_set(tmp_path_factory.mktemp("set"), {SplitName.TEST: digits(3)})


@pytest.fixture
def registry(tracking: str, request: pytest.FixtureRequest) -> ModelRegistry:
    """An empty registry with a separate model name for each test."""
    return ModelRegistry(tracking, request.node.name)


@pytest.fixture
def candidates(models: list[LoggedModel], training_set: TrainingSet) -> list[Candidate]:
    """One candidate per model, to be promoted and evaluated without a champion."""
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


def test_version_is_tagged_with_its_decision_and_origin(
    registry: ModelRegistry, candidates: list[Candidate], training_set: TrainingSet
) -> None:
    assert registry.champion() is None

    registered = register_candidate(registry, candidates[0], Files())

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


def test_registering_twice_creates_one_version(
    registry: ModelRegistry, candidates: list[Candidate], tracking: str
) -> None:
    first = register_candidate(registry, candidates[0], Files())
    second = register_candidate(registry, candidates[0], Files())

    assert first == second
    assert versions(registry, tracking) == [first.version]


def test_unpromoted_model_is_a_version_and_the_challenger(registry: ModelRegistry, candidates: list[Candidate]) -> None:
    register_candidate(registry, candidates[0], Files())

    registered = register_candidate(
        registry, changed(candidates[1], promote=False, reason="it is worse", compared_with="1"), Files()
    )

    assert registered == Registration("2", promoted=False)
    assert registry.champion() == registry.version("1")
    assert registry.challenger() == registry.version("2")
    assert registry.version("2").tags["decision"] == "kept"
    assert registry.version("2").tags["reason"] == "it is worse"


def test_candidate_replaces_only_the_champion_it_was_compared_with(
    registry: ModelRegistry, candidates: list[Candidate]
) -> None:
    register_candidate(registry, candidates[0], Files())
    # Both were compared with version 1, and version 2 is registered first.
    second = register_candidate(registry, changed(candidates[1], compared_with="1"), Files())
    third = register_candidate(registry, changed(candidates[2], compared_with="1"), Files())

    assert (second.promoted, third.promoted) == (True, False)
    assert registry.champion() == registry.version("2")
    tags = registry.version("3").tags
    assert tags["decision"] == "kept"
    assert "it was compared with version 1, but version 2 is the champion now" in tags["reason"]


def test_candidate_evaluated_without_a_champion_does_not_replace_one(
    registry: ModelRegistry, candidates: list[Candidate]
) -> None:
    register_candidate(registry, candidates[0], Files())

    late = register_candidate(registry, candidates[1], Files())

    assert late.promoted is False
    assert registry.champion() == registry.version("1")
    assert (
        "it was evaluated without a champion, but version 1 is the champion now" in registry.version("2").tags["reason"]
    )


def test_repeated_task_does_not_undo_a_later_promotion(registry: ModelRegistry, candidates: list[Candidate]) -> None:
    register_candidate(registry, candidates[0], Files())
    register_candidate(registry, changed(candidates[1], compared_with="1"), Files())
    before = registry.version("1"), registry.version("2"), registry.challenger()

    again = register_candidate(registry, candidates[0], Files())

    assert again == Registration("1", promoted=False)
    assert registry.champion() == registry.version("2")
    assert (registry.version("1"), registry.version("2"), registry.challenger()) == before


def test_repeated_task_without_promotion_does_not_undo_a_later_one(
    registry: ModelRegistry, candidates: list[Candidate]
) -> None:
    register_candidate(registry, candidates[0], Files())
    rejected = changed(candidates[1], promote=False, reason="it is worse", compared_with="1")
    register_candidate(registry, rejected, Files())
    register_candidate(registry, changed(candidates[2], promote=False, reason="so is this", compared_with="1"), Files())
    promote(registry, "2", "1", "it is the newer camera's", "ann")
    before = registry.version("2"), registry.challenger()

    again = register_candidate(registry, rejected, Files())

    assert again == Registration("2", promoted=True)
    assert (registry.version("2"), registry.challenger()) == before


def test_repeated_task_does_not_promote_a_withdrawn_version(
    registry: ModelRegistry, candidates: list[Candidate]
) -> None:
    register_candidate(registry, candidates[0], Files())
    better = changed(candidates[1], compared_with="1")
    register_candidate(registry, better, Files())
    roll_back(registry, "2", "it misses flags", "ann")

    again = register_candidate(registry, better, Files())

    assert again == Registration("2", promoted=False)
    assert registry.champion() == registry.version("1")
    assert registry.version("2").tags["reason"] == "it misses flags"


def test_repeated_task_writes_tags_missing_after_an_interruption(
    registry: ModelRegistry, candidates: list[Candidate], tracking: str
) -> None:
    register_candidate(registry, candidates[0], Files())
    client = MlflowClient(tracking, tracking)
    for tag in ("decision", "reason", "gate.reason", "decided_by", "accuracy", "compared_with"):
        client.delete_model_version_tag(registry.model_name, "1", tag)

    again = register_candidate(registry, candidates[0], Files())

    assert again == Registration("1", promoted=True)
    assert registry.version("1").tags["decision"] == "promoted"


def test_champion_compared_with_itself_stays_champion(registry: ModelRegistry, candidates: list[Candidate]) -> None:
    register_candidate(registry, candidates[0], Files())
    before = registry.champion()

    again = register_candidate(
        registry, changed(candidates[0], promote=False, reason="it is the champion already", compared_with="1"), Files()
    )

    assert again == Registration("1", promoted=True)
    assert registry.champion() == before


def test_registered_model_predicts_as_trained(registry: ModelRegistry, candidates: list[Candidate]) -> None:
    register_candidate(registry, candidates[1], Files())
    champion = registry.champion()
    assert champion is not None

    classifier = registry.load(champion.model_uri, champion.digest)

    assert [prediction.label for prediction in classifier.predict([content for content, _ in digits(2)])] == [5, 5]


def test_tampered_model_is_refused_before_loading(
    registry: ModelRegistry, training_set: TrainingSet, tracking: str, tmp_path: Path
) -> None:
    model = log_classifier(tracking, None, constant_classifier(LABELS, 3))
    register_candidate(
        registry, Candidate(model.run_id, model.model_uri, model.digest, training_set.uri, 1.0, True, "", ""), Files()
    )
    location = MlflowClient(tracking).get_logged_model(model.model_uri.removeprefix("models:/")).artifact_location
    graph = Path(location.removeprefix("file://")) / SAVED_MODEL_FOLDER / "saved_model.pb"
    # An invalid SavedModel, so that loading it would raise another error.
    graph.write_bytes(b"tampered")
    champion = registry.champion()
    assert champion is not None

    with pytest.raises(InputError, match=r"model_uri: the files of 'models:/.*' differ from the registered ones"):
        registry.load(champion.model_uri, champion.digest)


@pytest.mark.parametrize("uri", ["models:/m-0123", "models:/nothing/7", "runs:/0123/model", ""])
def test_error_names_the_missing_model(registry: ModelRegistry, uri: str) -> None:
    with pytest.raises(InputError, match=f"^model_uri: .*'{uri}'"):
        registry.load(uri, "0" * 64)


def test_error_names_the_unknown_version(registry: ModelRegistry, candidates: list[Candidate]) -> None:
    register_candidate(registry, candidates[0], Files())

    with pytest.raises(InputError, match="has no version '9'"):
        registry.version("9")

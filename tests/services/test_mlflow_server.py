"""The registry on a real MLflow server that hands all artifacts through."""

import socket
from pathlib import Path
from urllib.request import Request, urlopen

import mlflow
import pytest
import yaml
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from components.build_training_set.training_set import SplitName, TrainingSet
from components.errors import InputError
from components.evaluate_classifier.evaluate import Challenger, evaluate
from components.images.digest import SAVED_MODEL_FOLDER, folder_digest
from components.register_model.register import Candidate, Registration, register, register_candidate
from components.register_model.registry import ModelRegistry
from components.settings import Settings
from tests.local.saved_model_factory import (
    LoggedModel,
    constant_classifier,
    log_classifier,
    nearest_mean_classifier,
)
from tests.local.training_set_factory import digits, make_training_set

LABELS = (3, 5, 7)
# What MLflow calls to load a model whose description names it.
BAIT = """
import pathlib


class Model:
    def predict(self, data):
        return data


def _load_pyfunc(path):
    pathlib.Path({marker!r}).touch()
    return Model()
"""
_ARTIFACTS = "mlflow-artifacts:/"
_MODELS = "models:/"


@pytest.fixture(scope="module")
def training_set(tmp_path_factory: pytest.TempPathFactory) -> TrainingSet:
    return make_training_set(tmp_path_factory.mktemp("set"), {SplitName.TEST: digits(40)}, files=1)


@pytest.fixture(scope="module")
def models(mlflow_server: str) -> list[LoggedModel]:
    """Two trained models, the second one better."""
    classifiers = [constant_classifier(LABELS, 5), nearest_mean_classifier(digits(40))]
    return [log_classifier(mlflow_server, None, classifier) for classifier in classifiers]


@pytest.fixture
def settings(mlflow_server: str, request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Name the server, a lake for its lock, and a registered model of its own for each test."""
    return Settings.load(mlflow_tracking_uri=mlflow_server, model_name=request.node.name, lake=str(tmp_path / "lake"))


@pytest.fixture
def registry(settings: Settings) -> ModelRegistry:
    return ModelRegistry.open(settings)


def candidate(model: LoggedModel, training_set: TrainingSet, compared_with: str = "") -> Candidate:
    """A model that is to be promoted."""
    return Candidate(
        model.run_id, model.model_uri, model.digest, training_set.uri, 0.75, True, "it is good", compared_with
    )


def artifact_url(server: str, model: LoggedModel, path: str) -> str:
    """Return where the server takes and hands out a file of a logged model."""
    location = MlflowClient(server).get_logged_model(model.model_uri.removeprefix(_MODELS)).artifact_location
    assert location.startswith(_ARTIFACTS)
    return f"{server}/api/2.0/mlflow-artifacts/artifacts/{location.removeprefix(_ARTIFACTS)}/{path}"


def read(server: str, model: LoggedModel, path: str) -> bytes:
    """Return a file of a logged model."""
    with urlopen(artifact_url(server, model, path)) as response:
        content: bytes = response.read()
        return content


def overwrite(server: str, model: LoggedModel, path: str, content: bytes) -> None:
    """Put a file into a logged model, as anyone can who may write artifacts."""
    with urlopen(Request(artifact_url(server, model, path), content, method="PUT")):
        pass


def test_the_better_model_goes_from_evaluation_to_champion(
    settings: Settings, registry: ModelRegistry, models: list[LoggedModel], training_set: TrainingSet
) -> None:
    first = register(settings, candidate(models[0], training_set))
    challenger = Challenger(models[1].run_id, models[1].model_uri, models[1].digest)

    evaluation = evaluate(settings, training_set.uri, challenger)
    second = register(settings, candidate(models[1], training_set, evaluation.compared_with))

    assert first == Registration("1", promoted=True)
    assert (evaluation.decision.promote, evaluation.compared_with) == (True, "1")
    metrics = MlflowClient(settings.mlflow_tracking_uri).get_run(models[1].run_id).data.metrics
    assert metrics["test_accuracy"] == evaluation.challenger.accuracy
    assert second == Registration("2", promoted=True)
    champion = registry.champion()
    assert champion is not None
    assert champion == registry.challenger() == registry.version("2")
    assert (champion.run_id, champion.digest) == (models[1].run_id, models[1].digest)
    assert champion.tags["decision"] == "promoted"
    assert champion.tags["training_set.id"] == training_set.id


def test_registering_twice_makes_one_version(
    settings: Settings, registry: ModelRegistry, models: list[LoggedModel], training_set: TrainingSet
) -> None:
    first = register_candidate(registry, candidate(models[0], training_set))
    second = register_candidate(registry, candidate(models[0], training_set))

    assert first == second
    found = MlflowClient(settings.mlflow_tracking_uri).search_model_versions(f"name = '{registry.model_name}'")
    assert [str(version.version) for version in found] == ["1"]


def test_a_downloaded_model_is_the_one_that_was_registered(
    registry: ModelRegistry, models: list[LoggedModel], training_set: TrainingSet, tmp_path: Path
) -> None:
    register_candidate(registry, candidate(models[0], training_set))
    champion = registry.champion()
    assert champion is not None

    folder = registry.download(champion.model_uri, champion.digest, tmp_path)

    assert folder_digest(folder) == models[0].digest
    answers = registry.load(champion.model_uri, champion.digest).predict([content for content, _ in digits(3)])
    assert [answer.label for answer in answers] == [5, 5, 5]


def test_a_model_that_was_tampered_with_on_the_server_is_refused(
    mlflow_server: str, registry: ModelRegistry, training_set: TrainingSet
) -> None:
    model = log_classifier(mlflow_server, None, constant_classifier(LABELS, 3))
    register_candidate(registry, candidate(model, training_set))
    champion = registry.champion()
    assert champion is not None

    # No SavedModel any more: loading it would raise another error.
    overwrite(mlflow_server, model, f"{SAVED_MODEL_FOLDER}/saved_model.pb", b"tampered")

    with pytest.raises(InputError, match=r"^model_uri: the files of 'models:/.*' are not those that were registered"):
        registry.load(champion.model_uri, champion.digest)


def test_a_file_slipped_into_a_model_on_the_server_is_refused(
    mlflow_server: str, registry: ModelRegistry, training_set: TrainingSet
) -> None:
    model = log_classifier(mlflow_server, None, constant_classifier(LABELS, 3))
    register_candidate(registry, candidate(model, training_set))

    overwrite(mlflow_server, model, f"{SAVED_MODEL_FOLDER}/assets.extra/more", b"more")

    with pytest.raises(InputError, match="are not those that were registered"):
        registry.load(model.model_uri, model.digest)


def test_no_python_from_the_registry_is_run(
    mlflow_server: str, registry: ModelRegistry, training_set: TrainingSet, tmp_path: Path
) -> None:
    model = log_classifier(mlflow_server, None, constant_classifier(LABELS, 3))
    register_candidate(registry, candidate(model, training_set))
    marker = tmp_path / "ran"
    description = yaml.safe_load(read(mlflow_server, model, "MLmodel"))
    description["flavors"]["python_function"].update(loader_module="registered_code", code="code")
    overwrite(mlflow_server, model, "MLmodel", yaml.safe_dump(description).encode())
    overwrite(
        mlflow_server,
        model,
        "code/registered_code.py",
        BAIT.format(marker=str(marker)).encode(),
    )

    answers = registry.load(model.model_uri, model.digest).predict([content for content, _ in digits(2)])

    assert [answer.label for answer in answers] == [3, 3]
    assert not marker.exists()
    # The bait works: MLflow's own way of loading the model takes it.
    mlflow.set_tracking_uri(mlflow_server)
    try:
        mlflow.pyfunc.load_model(model.model_uri)
    finally:
        mlflow.set_tracking_uri(None)
    assert marker.exists()


def test_what_the_server_does_not_have_is_named(
    registry: ModelRegistry, models: list[LoggedModel], training_set: TrainingSet
) -> None:
    assert registry.champion() is None
    with pytest.raises(InputError, match=r"^version: .* has no version '1'"):
        registry.version("1")
    with pytest.raises(InputError, match=r"^model_uri: the registry does not know 'models:/m-0123'"):
        registry.load("models:/m-0123", "0" * 64)

    register_candidate(registry, Candidate(**{**vars(candidate(models[0], training_set)), "promote": False}))

    assert registry.champion() is None
    assert registry.challenger() == registry.version("1")
    with pytest.raises(InputError, match=r"^version: .* has no version '9'"):
        registry.version("9")


def test_a_server_that_is_gone_is_not_taken_for_one_without_a_champion(monkeypatch: pytest.MonkeyPatch) -> None:
    # MLflow tries again for minutes.
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    with socket.socket() as bound:
        # Bound, but it does not listen: connections are refused, and nobody else can take the port.
        bound.bind(("127.0.0.1", 0))
        server = f"http://127.0.0.1:{bound.getsockname()[1]}"

        with pytest.raises(MlflowException, match=rf"{server}.*Connection refused"):
            ModelRegistry(server, "model").champion()

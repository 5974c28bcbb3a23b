"""The registry on a real MLflow server that proxies all artifacts."""

import shutil
import socket
from pathlib import Path
from urllib.request import Request, urlopen

import mlflow
import pytest
import yaml
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from pyspark.sql import SparkSession

from components.errors import InputError
from components.evaluate_classifier.evaluate import Challenger, evaluate
from components.preprocessing.digest import SAVED_MODEL_FOLDER, folder_digest
from components.register_model.register import Candidate, Registration, register, register_candidate
from components.registry.model_registry import ModelRegistry
from components.settings import Settings
from components.storage.files import Files
from components.training_set.manifest import SplitName, TrainingSet
from tests.support.saved_model_factory import (
    LoggedModel,
    constant_classifier,
    log_classifier,
    nearest_mean_classifier,
)
from tests.support.training_set_factory import digits, make_training_set

LABELS = (3, 5, 7)
# A module that MLflow imports and calls to load a model whose description names the module.
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
    return make_training_set(tmp_path_factory.mktemp("set"), {SplitName.TEST: digits(40)})


@pytest.fixture(scope="module")
def models(mlflow_server: str) -> list[LoggedModel]:
    """Two trained models, the second one better."""
    classifiers = [constant_classifier(LABELS, 5), nearest_mean_classifier(digits(40))]
    return [log_classifier(mlflow_server, None, classifier) for classifier in classifiers]


@pytest.fixture
def settings(mlflow_server: str, request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings with the server, a lake for the lock, and a separate registered model for each test."""
    return Settings.load(mlflow_tracking_uri=mlflow_server, model_name=request.node.name, lake=str(tmp_path / "lake"))


@pytest.fixture
def registry(settings: Settings) -> ModelRegistry:
    return ModelRegistry.open(settings)


def candidate(model: LoggedModel, training_set: TrainingSet, compared_with: str = "") -> Candidate:
    """Return a candidate that the gate decided to promote."""
    return Candidate(
        model.run_id, model.model_uri, model.digest, training_set.uri, 0.75, True, "it is good", compared_with
    )


def artifact_url(server: str, model: LoggedModel, path: str) -> str:
    """Return the URL at which the server stores a file of a logged model."""
    location = MlflowClient(server).get_logged_model(model.model_uri.removeprefix(_MODELS)).artifact_location
    assert location.startswith(_ARTIFACTS)
    return f"{server}/api/2.0/mlflow-artifacts/artifacts/{location.removeprefix(_ARTIFACTS)}/{path}"


def read(server: str, model: LoggedModel, path: str) -> bytes:
    """Return a file of a logged model."""
    with urlopen(artifact_url(server, model, path)) as response:
        content: bytes = response.read()
        return content


def overwrite(server: str, model: LoggedModel, path: str, content: bytes) -> None:
    """Write a file into a logged model, like anyone with write access to artifacts can."""
    with urlopen(Request(artifact_url(server, model, path), content, method="PUT")):
        pass


def test_better_model_becomes_champion(
    settings: Settings,
    registry: ModelRegistry,
    models: list[LoggedModel],
    training_set: TrainingSet,
    spark: SparkSession,
    empty_lake: Path,
) -> None:
    shutil.copytree(empty_lake, settings.required("lake"))
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


def test_registering_twice_creates_one_version(
    settings: Settings, registry: ModelRegistry, models: list[LoggedModel], training_set: TrainingSet
) -> None:
    first = register_candidate(registry, candidate(models[0], training_set), Files())
    second = register_candidate(registry, candidate(models[0], training_set), Files())

    assert first == second
    found = MlflowClient(settings.mlflow_tracking_uri).search_model_versions(f"name = '{registry.model_name}'")
    assert [str(version.version) for version in found] == ["1"]


def test_downloaded_model_is_the_registered_one(
    registry: ModelRegistry, models: list[LoggedModel], training_set: TrainingSet, tmp_path: Path
) -> None:
    register_candidate(registry, candidate(models[0], training_set), Files())
    champion = registry.champion()
    assert champion is not None

    folder = registry.download(champion.model_uri, champion.digest, tmp_path)

    assert folder_digest(folder) == models[0].digest
    answers = registry.load(champion.model_uri, champion.digest).predict([content for content, _ in digits(3)])
    assert [answer.label for answer in answers] == [5, 5, 5]


def test_model_tampered_with_on_the_server_is_refused(
    mlflow_server: str, registry: ModelRegistry, training_set: TrainingSet
) -> None:
    model = log_classifier(mlflow_server, None, constant_classifier(LABELS, 3))
    register_candidate(registry, candidate(model, training_set), Files())
    champion = registry.champion()
    assert champion is not None

    # The file is not a SavedModel now, so loading it would raise another error.
    overwrite(mlflow_server, model, f"{SAVED_MODEL_FOLDER}/saved_model.pb", b"tampered")

    with pytest.raises(InputError, match=r"^model_uri: the files of 'models:/.*' differ from the registered ones"):
        registry.load(champion.model_uri, champion.digest)


def test_file_added_to_a_model_on_the_server_is_refused(
    mlflow_server: str, registry: ModelRegistry, training_set: TrainingSet
) -> None:
    model = log_classifier(mlflow_server, None, constant_classifier(LABELS, 3))
    register_candidate(registry, candidate(model, training_set), Files())

    overwrite(mlflow_server, model, f"{SAVED_MODEL_FOLDER}/assets.extra/more", b"more")

    with pytest.raises(InputError, match="differ from the registered ones"):
        registry.load(model.model_uri, model.digest)


def test_python_code_in_the_registry_is_not_executed(
    mlflow_server: str, registry: ModelRegistry, training_set: TrainingSet, tmp_path: Path
) -> None:
    model = log_classifier(mlflow_server, None, constant_classifier(LABELS, 3))
    register_candidate(registry, candidate(model, training_set), Files())
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
    # MLflow's own function for loading models does execute the code.
    mlflow.set_tracking_uri(mlflow_server)
    try:
        mlflow.pyfunc.load_model(model.model_uri)
    finally:
        mlflow.set_tracking_uri(None)
    assert marker.exists()


def test_missing_model_or_version_is_named(
    registry: ModelRegistry, models: list[LoggedModel], training_set: TrainingSet
) -> None:
    assert registry.champion() is None
    with pytest.raises(InputError, match=r"^version: .* has no version '1'"):
        registry.version("1")
    with pytest.raises(InputError, match=r"^model_uri: 'models:/m-0123' not found in the registry"):
        registry.load("models:/m-0123", "0" * 64)

    register_candidate(registry, Candidate(**{**vars(candidate(models[0], training_set)), "promote": False}), Files())

    assert registry.champion() is None
    assert registry.challenger() == registry.version("1")
    with pytest.raises(InputError, match=r"^version: .* has no version '9'"):
        registry.version("9")


def test_absent_server_is_not_taken_for_one_without_a_champion(monkeypatch: pytest.MonkeyPatch) -> None:
    # By default, MLflow retries for minutes.
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    with socket.socket() as bound:
        # Bound, but it does not listen: connections are refused, and nobody else can take the port.
        bound.bind(("127.0.0.1", 0))
        server = f"http://127.0.0.1:{bound.getsockname()[1]}"

        with pytest.raises(MlflowException, match=rf"{server}.*Connection refused"):
            ModelRegistry(server, "model").champion()

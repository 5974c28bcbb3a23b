"""A training on a real MLflow server, as a KFP task for which KFP's backend has created an MLflow run."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from components.container_images import VERSION
from components.preprocessing.digest import folder_digest
from components.registry.model_registry import ModelRegistry
from components.registry.tags import CODE_VERSION_TAG
from components.settings import Settings
from components.train_classifier.request import TrainingRequest, TrainingResult
from components.train_classifier.train import train
from components.training_set.manifest import SplitName
from tests.support.paths import TRAINER_PYTHON
from tests.support.training_set_factory import digits, make_training_set


@pytest.fixture(scope="module")
def task_run(mlflow_server: str) -> str:
    """The MLflow run of the KFP task, in an experiment of KFP."""
    client = MlflowClient(mlflow_server)
    run_id: str = client.create_run(client.create_experiment("pipeline runs")).info.run_id
    return run_id


@pytest.fixture(scope="module")
def trained(
    mlflow_server: str, task_run: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TrainingRequest, TrainingResult]:
    folder = tmp_path_factory.mktemp("training")
    images = digits(12)
    parts = {SplitName.TRAIN: images[:8], SplitName.VALIDATION: images[8:]}
    training_set = make_training_set(folder / "set", parts)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MLFLOW_TRACKING_URI", mlflow_server)
        environment.setenv("MLFLOW_RUN_ID", task_run)
        environment.setenv("MLFLOW_EXPERIMENT_ID", MlflowClient(mlflow_server).get_run(task_run).info.experiment_id)
        settings = Settings.load(
            lake=str(folder),
            mlflow_tracking_uri=mlflow_server,
            experiment="trainings",
            trainer_python=TRAINER_PYTHON,
        )
        return train(settings, training_set.uri, backbone="small", image_size=16, batch_size=8, epochs=1)


def test_training_is_recorded_by_the_server(
    mlflow_server: str, trained: tuple[TrainingRequest, TrainingResult], tmp_path: Path
) -> None:
    _, result = trained
    client = MlflowClient(mlflow_server)

    run = client.get_run(result.run_id)

    assert run.info.status == "FINISHED"
    assert client.get_experiment(run.info.experiment_id).name == "trainings"
    assert run.data.metrics["val_accuracy"] == pytest.approx(result.best.val_accuracy)
    registry = ModelRegistry(mlflow_server, "model")
    folder = registry.download(result.model_uri, result.model_digest, tmp_path)
    assert folder_digest(folder) == result.model_digest == run.data.tags["model.digest"]
    assert run.data.tags[CODE_VERSION_TAG] == VERSION


def test_training_is_a_child_of_its_tasks_mlflow_run_and_leaves_that_unchanged(
    mlflow_server: str, task_run: str, trained: tuple[TrainingRequest, TrainingResult]
) -> None:
    client = MlflowClient(mlflow_server)
    assert client.get_run(trained[1].run_id).data.tags["mlflow.parentRunId"] == task_run
    parent = client.get_run(task_run)
    assert (parent.info.status, parent.info.end_time) == ("RUNNING", None)
    assert (parent.data.metrics, parent.data.params) == ({}, {})

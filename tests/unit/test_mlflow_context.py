"""The MLflow run that Kubeflow Pipelines creates for a task becomes the parent of the training's run."""

import os
from pathlib import Path

import pytest
from mlflow import MlflowClient

from components.settings import ENVIRONMENT_PREFIX, Settings
from components.train_classifier.mlflow_context import MLflowContext
from tests.support.tracking import make_tracking


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    for name in [name for name in os.environ if name.startswith((ENVIRONMENT_PREFIX, "MLFLOW_"))]:
        monkeypatch.delenv(name)
    return make_tracking(tmp_path)


@pytest.fixture
def task_run_id(server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Set the environment as KFP does, and return the id of the task's run."""
    store = MlflowClient(server)
    experiment = store.create_experiment("of the KFP run")
    run_id = str(store.create_run(experiment).info.run_id)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", experiment)
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    return run_id


def test_settings_name_the_experiment_without_a_task_run(server: str) -> None:
    assert MLflowContext.of(Settings.load(mlflow_tracking_uri=server)) == MLflowContext("image-classifier", "")


def test_task_run_is_the_parent_in_its_experiment(task_run_id: str) -> None:
    assert MLflowContext.of(Settings.load()) == MLflowContext("of the KFP run", task_run_id)


def test_experiment_of_the_settings_overrides_the_task_runs_experiment(task_run_id: str) -> None:
    assert MLflowContext.of(Settings.load(experiment="chosen")) == MLflowContext("chosen", task_run_id)


def test_task_run_on_another_server_is_ignored(task_run_id: str) -> None:
    other = Settings.load(mlflow_tracking_uri="http://other.example")

    assert MLflowContext.of(other) == MLflowContext("image-classifier", "")

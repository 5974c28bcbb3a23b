"""The MLflow run that Kubeflow Pipelines makes for a task: the training's run becomes its child, and not the same."""

import os
from pathlib import Path

import pytest
from mlflow import MlflowClient

from components.settings import ENVIRONMENT_PREFIX, Settings
from components.train_classifier.task_run import TaskRun


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    for name in [name for name in os.environ if name.startswith((ENVIRONMENT_PREFIX, "MLFLOW_"))]:
        monkeypatch.delenv(name)
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.fixture
def injected(server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Set what KFP sets, and return the id of the task's run."""
    store = MlflowClient(server)
    experiment = store.create_experiment("of the KFP run")
    run_id = str(store.create_run(experiment).info.run_id)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", experiment)
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    return run_id


def test_without_one_the_settings_name_the_experiment(server: str) -> None:
    assert TaskRun.of(Settings.load(mlflow_tracking_uri=server)) == TaskRun("image-classifier", "")


def test_a_task_s_run_is_the_parent_in_its_experiment(injected: str) -> None:
    assert TaskRun.of(Settings.load()) == TaskRun("of the KFP run", injected)


def test_an_experiment_that_was_chosen_stays(injected: str) -> None:
    assert TaskRun.of(Settings.load(experiment="chosen")) == TaskRun("chosen", injected)


def test_a_run_on_another_server_is_nobody_s_parent(injected: str) -> None:
    other = Settings.load(mlflow_tracking_uri="http://other.example")

    assert TaskRun.of(other) == TaskRun("image-classifier", "")

"""Concurrent trainings: real processes that register models at the same time, on a real MLflow server."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from components.registry.model_registry import ModelRegistry
from components.training_set.manifest import SplitName, TrainingSet
from tests.services import registering
from tests.support.saved_model_factory import LoggedModel, constant_classifier, log_classifier
from tests.support.training_set_factory import digits, make_training_set

MODEL = "side-by-side"
ROUNDS = 5


@pytest.fixture(scope="module")
def training_set(tmp_path_factory: pytest.TempPathFactory) -> TrainingSet:
    return make_training_set(tmp_path_factory.mktemp("set"), {SplitName.TEST: digits(2)})


@pytest.fixture(scope="module")
def model(mlflow_server: str) -> LoggedModel:
    return log_classifier(mlflow_server, None, constant_classifier((3, 5), 3))


@pytest.fixture
def tasks(mlflow_server: str, tmp_path: Path) -> "Iterator[list[subprocess.Popen[str]]]":
    """Two processes that are ready to register."""
    environment = {
        **os.environ,
        "IMAGE_PIPELINES_LAKE": str(tmp_path / "lake"),
        "IMAGE_PIPELINES_MODEL_NAME": MODEL,
        "MLFLOW_TRACKING_URI": mlflow_server,
    }
    with ExitStack() as stack:
        started = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", registering.__name__],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    env=environment,
                )
            )
            for _ in range(2)
        ]
        for task in started:
            assert task.stdout is not None
            assert task.stdout.readline() == "ready\n"
        yield started
        for task in started:
            assert task.stdin is not None
            task.stdin.close()


def test_concurrent_registrations_replace_the_champion_once(
    mlflow_server: str, tasks: "list[subprocess.Popen[str]]", model: LoggedModel, training_set: TrainingSet
) -> None:
    registry = ModelRegistry(mlflow_server, MODEL)
    champion = ""
    for round_number in range(ROUNDS):
        for number, task in enumerate(tasks):
            candidate = {
                "run_id": model.run_id,
                "model_uri": model.model_uri,
                # The digest makes each version a different model. No test loads them.
                "digest": f"{round_number}-{number}",
                "training_set": training_set.uri,
                "accuracy": 0.75,
                "promote": True,
                "reason": "it is better",
                "compared_with": champion,
            }
            assert task.stdin is not None
            task.stdin.write(json.dumps(candidate) + "\n")
        for task in tasks:
            assert task.stdin is not None
            task.stdin.flush()
        registered = [json.loads(task.stdout.readline()) for task in tasks if task.stdout is not None]

        promoted = [each["version"] for each in registered if each["promoted"]]
        (challenger,) = [each["version"] for each in registered if not each["promoted"]]
        found = registry.champion()
        assert found is not None
        assert [found.version] == promoted
        assert found.tags["decision"] == "promoted"
        assert registry.version(challenger).tags["decision"] == "kept"
        assert f"version {found.version} is the champion now" in registry.version(challenger).tags["reason"]
        champion = found.version

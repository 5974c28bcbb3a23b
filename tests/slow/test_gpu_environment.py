"""Training in the environment of the GPU image: its hashed requirements, without NVIDIA's libraries, on CPUs.

It has the distribution `tensorflow`, not `tensorflow-cpu`. Nothing here needs a GPU or shows how one behaves.
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient

from components.errors import InputError
from components.preprocessing.classifier import Classifier
from components.preprocessing.digest import SAVED_MODEL_FOLDER, folder_digest
from components.settings import Settings
from components.train_classifier.environment import RANK_GPUS
from components.train_classifier.request import TrainingRequest, TrainingResult
from components.train_classifier.train import RUNS_FOLDER, train
from components.training_set.manifest import SplitName, TrainingSet
from tests.support.paths import REPOSITORY
from tests.support.training_set_factory import digits, make_training_set, photographs

pytestmark = pytest.mark.timeout(0)

IMAGES = digits(240)
DIGITS: dict[str, Any] = {"backbone": "small", "learning_rate": 0.002, "epochs": 3, "patience": 0, "ranks": 2}
PHOTOGRAPHS: dict[str, Any] = {"weights": "none", "image_size": 71, "batch_size": 2, "epochs": 1}


def requirements_without_cuda() -> Iterator[str]:
    """Yield the lines of the GPU environment's requirements, without NVIDIA's wheels."""
    lines = (REPOSITORY / "requirements" / "trainer-gpu.txt").read_text().splitlines()
    wanted = True
    for line in lines:
        if re.match(r"\w", line):
            wanted = not line.startswith("nvidia-")
        if wanted:
            yield line


def horovod_wheel() -> Path:
    """Return the wheel that `make setup` built."""
    make = ["make", "--no-print-directory", "--eval", "print-horovod: ; @echo $(HOROVOD)", "print-horovod"]
    folder = subprocess.run(make, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout.strip()
    (wheel,) = Path(folder).glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def gpu_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of the GPU environment."""
    folder = tmp_path_factory.mktemp("environment")
    requirements = folder / "requirements.txt"
    requirements.write_text("\n".join(requirements_without_cuda()))
    python = folder / "venv" / "bin" / "python"

    def uv(*arguments: str) -> None:
        subprocess.run([str(REPOSITORY / ".venv" / "tools" / "bin" / "uv"), *arguments], check=True)

    uv("venv", "--quiet", "--python", "python3.11", str(folder / "venv"))
    uv("pip", "sync", "--quiet", "--python", str(python), "--require-hashes", str(requirements))
    uv("pip", "install", "--quiet", "--python", str(python), "--no-deps", str(horovod_wheel()))
    return python


@pytest.fixture(scope="module")
def settings(gpu_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of trainings whose ranks run in the GPU environment."""
    folder = tmp_path_factory.mktemp("training")
    (folder / "lake").mkdir()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", str(REPOSITORY))
        yield Settings.load(
            lake=str(folder / "lake"),
            mlflow_tracking_uri=f"sqlite:///{folder}/mlflow.db",
            experiment="gpu",
            trainer_python=gpu_python,
        )


@pytest.fixture(scope="module")
def digit_set(tmp_path_factory: pytest.TempPathFactory) -> TrainingSet:
    split = {SplitName.TRAIN: IMAGES[:200], SplitName.VALIDATION: IMAGES[200:]}
    return make_training_set(tmp_path_factory.mktemp("digits"), split, segments=2)


@pytest.fixture(scope="module")
def trained(settings: Settings, digit_set: TrainingSet) -> tuple[TrainingRequest, TrainingResult]:
    return train(settings, digit_set.uri, **DIGITS)


@pytest.fixture(scope="module")
def model(trained: tuple[TrainingRequest, TrainingResult], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the model that the ranks logged."""
    mlflow.set_tracking_uri(trained[0].mlflow_tracking_uri)
    folder = str(tmp_path_factory.mktemp("model"))
    return Path(mlflow.artifacts.download_artifacts(trained[1].model_uri, dst_path=folder))


def test_the_gpu_environment_has_no_tensorflow_for_cpus(gpu_python: Path) -> None:
    code = "from importlib.metadata import distributions as d; print(*{each.name for each in d()}, sep='\\n')"
    names = subprocess.run([gpu_python, "-c", code], check=True, capture_output=True, text=True).stdout.split()

    assert "tensorflow" in names
    assert "tensorflow-cpu" not in names


def test_a_training_in_the_gpu_environment_is_logged(
    trained: tuple[TrainingRequest, TrainingResult], model: Path
) -> None:
    asked, result = trained

    run = MlflowClient(asked.mlflow_tracking_uri).get_run(result.run_id)
    assert run.info.status == "FINISHED"
    assert [each.epoch for each in result.history] == [1, 2, 3]
    assert result.model_digest == folder_digest(model / SAVED_MODEL_FOLDER)


def test_a_model_of_the_gpu_environment_requires_what_pypi_has(model: Path) -> None:
    tensorflow = [line for line in (model / "requirements.txt").read_text().splitlines() if "tensorflow" in line]

    (version,) = re.findall(r"^tensorflow==(\S+)", (REPOSITORY / "requirements" / "trainer-gpu.txt").read_text(), re.M)
    assert tensorflow == [f"tensorflow=={version}"]


def test_the_spark_environment_serves_a_model_of_the_gpu_environment(model: Path) -> None:
    contents = [content for content, _ in IMAGES[:20]]

    classifier = Classifier.load(model / SAVED_MODEL_FOLDER)
    predictions = classifier.predict(contents)

    assert all(prediction.error is None for prediction in predictions)
    assert {prediction.label for prediction in predictions} <= set(classifier.labels.tolist())
    served = mlflow.pyfunc.load_model(str(model)).predict(contents)["scores"].numpy()
    np.testing.assert_array_equal(served, classifier.scores(contents))


def test_a_frozen_backbone_is_trained_in_the_gpu_environment(settings: Settings, tmp_path: Path) -> None:
    parts = photographs(7)
    split = {SplitName.TRAIN: parts[:5], SplitName.VALIDATION: parts[5:]}

    _, result = train(settings, make_training_set(tmp_path, split, segments=2).uri, **PHOTOGRAPHS)

    assert result.features_computed == 7
    assert result.model_uri


def test_ranks_of_the_gpu_image_without_a_driver_end_at_once(
    settings: Settings, digit_set: TrainingSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RANK_GPUS, "1")
    folder = Path(str(settings.lake)) / RUNS_FOLDER
    before = set(folder.glob("*"))

    with pytest.raises(
        InputError,
        match=r"^gpus_per_rank: rank 0 on '.*' has 1 GPU assigned, but its container has no NVIDIA driver \(libcuda",
    ):
        train(settings, digit_set.uri, **DIGITS, seed=7)

    (run,) = set(folder.glob("*")) - before
    assert {file.name for file in run.iterdir()} == {"request.json", "failure.json", "heartbeat", "job.yaml"}

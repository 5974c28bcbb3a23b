"""GPU behavior of real Horovod ranks, as far as CPUs can show it."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from components.errors import InputError
from components.preprocessing.version import PREPROCESSING_VERSION
from components.settings import Settings
from components.storage.files import Files
from components.train_classifier.environment import RANK_GPUS
from components.train_classifier.local_launcher import LocalLauncher
from components.train_classifier.rank.mpirun import mpirun_command
from components.train_classifier.request import TrainingRequest
from components.train_classifier.train import RUNS_FOLDER, train
from components.training_set.manifest import SplitName, TrainingSet
from tests.support.paths import RANK_PROGRAMS, TRAINER_PYTHON
from tests.support.training_set_factory import digits, make_training_set


@pytest.fixture(scope="module")
def training_set(tmp_path_factory: pytest.TempPathFactory) -> TrainingSet:
    images = digits(8)
    split = {SplitName.TRAIN: images[:4], SplitName.VALIDATION: images[4:]}
    return make_training_set(tmp_path_factory.mktemp("digits"), split, segments=2)


@pytest.fixture(scope="module")
def found(training_set: TrainingSet, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The results of `gpu_promises_probe`."""
    folder = tmp_path_factory.mktemp("probe")
    request = TrainingRequest.make(
        Files(),
        training_set=training_set.uri,
        ranks=2,
        mlflow_tracking_uri="none",
        experiment="none",
        run_directory=folder.as_uri(),
        features_directory=folder.as_uri(),
    )
    request_uri = (folder / "request.json").as_uri()
    request.write(request_uri, Files())
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", str(RANK_PROGRAMS), prepend=":")
        LocalLauncher(TRAINER_PYTHON, Files(), worker="gpu_promises_probe").launch(request_uri, ranks=2)
    result: dict[str, Any] = json.loads((folder / "found.json").read_text())
    return result


def test_optimizer_does_not_compile_its_update(found: dict[str, Any]) -> None:
    assert found["compiles"] is False


def test_features_are_not_held_in_the_memory_of_a_device(found: dict[str, Any]) -> None:
    assert found["held"] == []


def test_each_arithmetic_has_its_own_features_folder(found: dict[str, Any]) -> None:
    weights = hashlib.sha256()
    for shape in ((3, 2), (2,)):
        weights.update(repr((shape, "<f4")).encode() + b"\0\0\x80\x3f" * (shape[0] * shape[-1] if shape[1:] else 2))
    # Another key would make the features of earlier trainings useless.
    parts = weights.hexdigest()[:16], PREPROCESSING_VERSION, 32, "float32"
    expected = hashlib.sha256(repr(parts).encode()).hexdigest()[:16]

    assert found["folders"]["float32"] == f"file:///features/{expected}"
    assert found["folders"]["tf32"] != found["folders"]["float32"]


def test_weights_that_differ_by_rounding_become_those_of_rank_0(found: dict[str, Any]) -> None:
    end = found["ends"]["rounding"]

    assert end["errors"] == ["", ""]
    assert end["weights"] == [[1.0, 1.0], [1.0, 1.0]]


def test_weights_that_differ_by_more_than_rounding_raise_error(found: dict[str, Any]) -> None:
    message = (
        "the weights of rank 1 diverge from rank 0's after epoch 1: relative difference 1e-01, more than rounding"
        " explains. Report this as a bug."
    )

    assert found["ends"]["defect"]["errors"] == [message, message]


def test_assigned_gpu_in_an_image_for_cpus_raises_error_before_data_is_read(
    training_set: TrainingSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RANK_GPUS, "1")
    lake = tmp_path / "lake"
    lake.mkdir()
    settings = Settings.load(
        lake=str(lake), mlflow_tracking_uri=f"sqlite:///{tmp_path}/mlflow.db", trainer_python=TRAINER_PYTHON
    )

    with pytest.raises(
        InputError,
        match=r"^gpus_per_rank: rank 0 on '.+' has 1 GPU assigned, but its image has TensorFlow for CPUs\. Use the"
        r" trainer image with the tag suffix -gpu \(IMAGE_PIPELINES_TRAINER_GPU_IMAGE\), or gpus_per_rank=0 to train",
    ):
        train(settings, training_set.uri, backbone="small", ranks=2)

    (run,) = (lake / RUNS_FOLDER).iterdir()
    assert {file.name for file in run.iterdir()} == {"request.json", "failure.json", "heartbeat", "job.yaml"}
    assert not (tmp_path / "mlflow.db").exists()


def test_open_mpi_accepts_the_option_against_single_copy_of_memory() -> None:
    command = mpirun_command(2, "unused", [])
    start = command[: command.index(sys.executable)]
    as_root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}

    ranks = subprocess.run(
        [*start, "printenv", "OMPI_MCA_btl_vader_single_copy_mechanism"],
        env={**os.environ, **as_root},
        capture_output=True,
        text=True,
    )

    assert [line.rpartition(":")[2] for line in ranks.stdout.splitlines()] == ["none", "none"], ranks.stderr

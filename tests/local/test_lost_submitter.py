"""Attempts at a training that an earlier attempt began.

The launcher only records its calls. The cluster's tests use the real one.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from components.lock import LockLost
from components.settings import Settings
from components.storage import uri
from components.storage.files import Files
from components.train_classifier.job_record import JOB_FILE
from components.train_classifier.launcher import AdoptedJobFailed
from components.train_classifier.local_launcher import LocalLauncher
from components.train_classifier.request import FAILURE_FILE, RESULT_FILE, TrainingResult
from components.train_classifier.train import RUNS_FOLDER, train
from components.training_set.manifest import SplitName, TrainingSet
from tests.support.paths import RANK_PROGRAMS, REPOSITORY, TRAINER_PYTHON
from tests.support.report_samples import training_result
from tests.support.task_attempt import KILLED, Outputs, die, run_all
from tests.support.tracking import make_tracking
from tests.support.training_results import record_result
from tests.support.training_set_factory import digits, make_training_set

Work = Callable[[str], None]


class RecordingLauncher:
    """A launcher that records its calls.

    Args:
        works: For each launch, a function that does the ranks' work in the training's folder.
        ended: Value that `clean_up` returns.
    """

    def __init__(self, *works: Work, ended: bool = True) -> None:
        self.calls: list[str] = []
        self.folder = ""
        self._works = list(works)
        self._ended = ended

    def launch(self, request_uri: str, ranks: int) -> None:
        self.calls.append("launch")
        self.folder = request_uri.rpartition("/")[0]
        self._works.pop(0)(self.folder)

    def clean_up(self, request_uri: str) -> bool:
        self.folder = request_uri.rpartition("/")[0]
        self.calls.append("clean_up")
        return self._ended


Attempt = Callable[[RecordingLauncher], TrainingResult]


@pytest.fixture(scope="module")
def training_set(tmp_path_factory: pytest.TempPathFactory) -> TrainingSet:
    images = digits(4)
    split = {SplitName.TRAIN: images[:2], SplitName.VALIDATION: images[2:]}
    return make_training_set(tmp_path_factory.mktemp("set"), split)


@pytest.fixture(scope="module")
def tracking_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_tracking(tmp_path_factory.mktemp("mlflow"))


@pytest.fixture
def attempt(tmp_path: Path, training_set: TrainingSet, tracking_uri: str) -> Attempt:
    """A function that attempts the test's training."""
    settings = Settings.load(
        lake=str(tmp_path), mlflow_tracking_uri=tracking_uri, experiment="lost", lock_timeout_seconds=5
    )

    def run(launcher: RecordingLauncher) -> TrainingResult:
        return train(settings, training_set.uri, launcher, backbone="small")[1]

    return run


def fail(error: Exception, failure: str = "") -> Work:
    """Return the work of ranks that fail, the first of which writes a failure."""

    def work(folder: str) -> None:
        if failure:
            Files().write_text(uri.join(folder, FAILURE_FILE), failure)
        raise error

    return work


def test_attempt_at_a_finished_training_cleans_up_and_returns_the_result(attempt: Attempt) -> None:
    first = attempt(RecordingLauncher(record_result))
    second = RecordingLauncher()

    assert attempt(second) == first
    assert second.calls == ["clean_up"]


def test_failed_attempt_cleans_up(attempt: Attempt) -> None:
    launcher = RecordingLauncher(fail(RuntimeError("rank 1 failed")))

    with pytest.raises(RuntimeError, match=r"^rank 1 failed$"):
        attempt(launcher)

    assert launcher.calls == ["launch", "clean_up"]


def test_new_job_follows_an_adopted_job_that_failed(attempt: Attempt) -> None:
    failure = '{"kind": "RuntimeError", "message": "no heartbeat", "rank": 0}'
    launcher = RecordingLauncher(fail(AdoptedJobFailed("rank 0 failed"), failure), record_result)

    assert attempt(launcher).model_digest == training_result().model_digest
    assert launcher.calls == ["launch", "launch", "clean_up"]


def test_error_of_the_second_job_is_its_own(attempt: Attempt) -> None:
    failure = '{"kind": "RuntimeError", "message": "no heartbeat", "rank": 0}'
    launcher = RecordingLauncher(
        fail(AdoptedJobFailed("rank 0 failed"), failure), fail(RuntimeError("the disk of rank 1 is full"))
    )

    with pytest.raises(RuntimeError, match=r"^the disk of rank 1 is full$"):
        attempt(launcher)


def test_attempt_that_lost_the_lock_does_not_clean_up(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def lock_taken_over(*_: Any) -> Iterator[Callable[[], None]]:
        def check() -> None:
            raise LockLost("the lock was taken over")

        yield check

    # A lock on a file can't be lost, and a Lease needs a cluster.
    monkeypatch.setattr("components.train_classifier.train.writer_lock", lock_taken_over)
    launcher = RecordingLauncher(record_result)

    with pytest.raises(LockLost):
        attempt(launcher)

    assert launcher.calls == ["launch"]


@pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "unfinished"])
def test_training_with_a_deleted_mlflow_run_is_removed_and_trained_again(
    attempt: Attempt, tracking_uri: str, recorded: bool
) -> None:
    run_id = deleted_run(tracking_uri)

    def train_halfway(folder: str) -> None:
        record_result(folder, run_id)
        if not recorded:
            Files().remove(uri.join(folder, RESULT_FILE))
            raise RuntimeError("lost")

    first = RecordingLauncher(train_halfway)
    if recorded:
        attempt(first)
    else:
        with pytest.raises(RuntimeError, match=r"^lost$"):
            attempt(first)
    Files().write_text(uri.join(first.folder, "epoch-00001.npz"), "of the deleted run")
    launcher = RecordingLauncher(record_result)

    attempt(launcher)

    assert launcher.calls == ["clean_up", "launch", "clean_up"]
    assert not Files().exists(uri.join(launcher.folder, "epoch-00001.npz"))


def test_folder_of_a_stuck_job_is_not_removed(attempt: Attempt, tracking_uri: str) -> None:
    run_id = deleted_run(tracking_uri)
    attempt(RecordingLauncher(lambda folder: record_result(folder, run_id)))
    stuck = RecordingLauncher(ended=False)

    with pytest.raises(
        TimeoutError, match=r"^the MLflow run of the training in '.*' was deleted, but the training's job does "
    ):
        attempt(stuck)

    assert Files().exists(uri.join(stuck.folder, RESULT_FILE))


def test_next_attempt_publishes_the_training_of_a_killed_task(
    tmp_path: Path, training_set: TrainingSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{REPOSITORY}{os.pathsep}{RANK_PROGRAMS}")
    monkeypatch.setenv("IMAGE_PIPELINES_MLFLOW_TRACKING_URI", "sqlite://")
    monkeypatch.setenv("IMAGE_PIPELINES_EXPERIMENT", "lost")
    first, second, third = (Outputs(tmp_path / number) for number in ("first", "second", "third"))
    parameters = {
        "lake": str(tmp_path),
        "training_set": training_set.uri,
        "backbone": "small",
        "ranks": 1,
    }

    def attempt(outputs: Outputs, before_publishing: Callable[[], None] = lambda: None) -> int | None:
        launcher = LocalLauncher(TRAINER_PYTHON, Files(), "recording_worker")
        (code,) = run_all(lambda: outputs.run(parameters, launcher, before_publishing))
        return code

    assert attempt(first, die) == KILLED
    assert attempt(second) == 0, second.log
    assert second.returned == ["recorded", "models:/m-1", "0123"]
    assert "recording_worker" in second.job["command"]
    assert "Validation accuracy" in second.report

    # Earlier versions wrote this file last, so lakes contain trainings without it.
    (file,) = tmp_path.glob(f"{RUNS_FOLDER}/*/{JOB_FILE}")
    file.unlink()
    assert attempt(third) == 0, third.log
    assert (third.returned, third.report) == (second.returned, second.report)
    assert third.job["message"].startswith("The record of this training's job is missing:")


def deleted_run(tracking_uri: str) -> str:
    """Create and delete an MLflow run, and return its id."""
    client = MlflowClient(tracking_uri)
    run_id: str = client.create_run("0").info.run_id
    client.delete_run(run_id)
    return run_id

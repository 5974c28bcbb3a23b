"""The error of a task whose rank failed, was ended, or hangs."""

import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from components.errors import InputError, TransientError
from components.settings import Settings
from components.storage import uri
from components.storage.files import Files
from components.train_classifier.launcher import RankKilled
from components.train_classifier.request import FAILURE_FILE
from components.train_classifier.train import RUNS_FOLDER, train
from components.training_set.manifest import SEGMENTS_FOLDER, SplitName
from tests.support.paths import TRAINER_PYTHON
from tests.support.rank_processes import rank_processes
from tests.support.tracking import make_tracking
from tests.support.training_set_factory import digits, make_training_set


class FailingRanks:
    """A launcher whose first rank fails.

    Args:
        failure: The error as the rank writes it.
        error: The launcher's error.
    """

    def __init__(self, failure: dict[str, object], error: Exception) -> None:
        self._failure = failure
        self._error = error

    def clean_up(self, request_uri: str) -> bool:
        return True

    def launch(self, request_uri: str, ranks: int) -> None:
        Files().write_text(uri.join(request_uri.rpartition("/")[0], FAILURE_FILE), json.dumps(self._failure))
        raise self._error


@pytest.mark.parametrize(
    ("kind", "transient", "error", "message"),
    [
        ("InputError", False, InputError, r"^weights: no file\.$"),
        (
            "TransientError",
            True,
            TransientError,
            r"^rank 1 of the training failed: TransientError: weights: no file\.$",
        ),
        ("KeyError", False, RuntimeError, r"^rank 1 of the training failed: KeyError: weights: no file\.$"),
    ],
)
def test_failure_of_a_rank_raises_its_error(
    tmp_path: Path, kind: str, transient: bool, error: type[Exception], message: str
) -> None:
    failure = {"kind": kind, "message": "weights: no file.", "rank": 1, "transient": transient}

    with pytest.raises(error, match=message) as raised:
        train_with(FailingRanks(failure, RuntimeError("mpirun ended with exit code 1")), tmp_path)

    assert type(raised.value) is error


@pytest.mark.parametrize(
    ("launched", "raised"),
    [
        (RankKilled("the pod of rank 1 was evicted", transient=True), TransientError),
        (RankKilled("rank 1 was ended by SIGKILL"), RuntimeError),
        (InputError("rank_memory: the pod of rank 1 exceeded its limit"), InputError),
    ],
    ids=["evicted", "killed", "out of memory"],
)
def test_end_of_a_rank_from_outside_comes_before_the_errors_of_other_ranks(
    tmp_path: Path, launched: Exception, raised: type[Exception]
) -> None:
    failure = {"kind": "HorovodInternalError", "message": "Connection reset by peer", "rank": 0, "transient": False}

    with pytest.raises(raised, match=f"^{launched}$") as error:
        train_with(FailingRanks(failure, launched), tmp_path)

    assert type(error.value) is raised


@pytest.mark.parametrize(
    ("deleted", "message"),
    [
        ("manifest.json", r"has no manifest\.json\. .*, or run it again if the training set was deleted\.$"),
        (
            f"{SEGMENTS_FOLDER}/*",
            r"2 of the 2 segments of '.*' were deleted, e\.g\. '.*'\. Run build_training_set again\.$",
        ),
    ],
)
def test_training_set_that_was_deleted_raises_error(tmp_path: Path, deleted: str, message: str) -> None:
    launcher = FailingRanks({}, RuntimeError("the ranks were started"))

    with pytest.raises(InputError, match=f"^training_set: .*{message}"):
        train_with(launcher, tmp_path, deleted)


def train_with(launcher: FailingRanks, folder: Path, deleted: str = "") -> None:
    """Train on a training set some of whose files are deleted.

    Args:
        launcher: Starts the ranks.
        folder: Empty folder for the training set and the lake.
        deleted: Pattern of the deleted files, below the training set's folder.
    """
    images = digits(4)
    split = {SplitName.TRAIN: images[:2], SplitName.VALIDATION: images[2:]}
    training_set = make_training_set(folder / "set", split)
    if deleted:
        files = list((folder / "set").glob(deleted))
        assert files
        for file in files:
            file.unlink()
    settings = Settings.load(lake=str(folder), mlflow_tracking_uri=make_tracking(folder), experiment="outages")
    train(settings, training_set.uri, launcher, backbone="small")


STALL_TIMEOUT_SECONDS = 45


@pytest.mark.slow
def test_training_ends_when_one_of_its_ranks_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Like the other settings of a cluster, this one reaches the ranks through the environment.
    monkeypatch.setenv("IMAGE_PIPELINES_STALL_TIMEOUT_SECONDS", str(STALL_TIMEOUT_SECONDS))
    # Otherwise gloo ends the other rank after 30 s.
    monkeypatch.setenv("HOROVOD_GLOO_TIMEOUT_SECONDS", "600")
    images = digits(60)
    split = {SplitName.TRAIN: images[:40], SplitName.VALIDATION: images[40:]}
    training_set = make_training_set(tmp_path / "set", split)
    lake = tmp_path / "lake"
    lake.mkdir()
    settings = Settings.load(
        lake=str(lake),
        mlflow_tracking_uri=make_tracking(tmp_path),
        experiment="hanging",
        trainer_python=TRAINER_PYTHON,
    )
    parameters: dict[str, Any] = {"backbone": "small", "ranks": 2, "epochs": 10**4, "batch_size": 8, "patience": 0}
    with ThreadPoolExecutor(1) as pool:
        training = pool.submit(lambda: train(settings, training_set.uri, **parameters))
        while not list(lake.glob(f"{RUNS_FOLDER}/*/epoch-00002.npz")):
            assert not training.done(), training.result()
            time.sleep(0.1)
        (second,) = (process for process, variables in rank_processes(lake).items() if "HOROVOD_RANK=1" in variables)
        os.kill(second, signal.SIGSTOP)
        error = training.exception()

    assert isinstance(error, RuntimeError)
    message = str(error)
    assert message.startswith(f"the training made no step for {STALL_TIMEOUT_SECONDS} s, so its ranks were ended. ")
    # Both ranks have trained, and rank 0 prints the metrics of each epoch.
    assert "rank 1 at epoch " in message
    assert "rank 0 at epoch " in message
    assert "printed 'progress: epoch " in message
    assert rank_processes(lake) == {}

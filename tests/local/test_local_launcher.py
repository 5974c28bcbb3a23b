"""Ranks that the local launcher starts, and their end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.errors import InputError
from components.settings import Settings
from components.storage.files import Files
from components.train_classifier.launcher import RankKilled
from components.train_classifier.launchers import make_launcher
from components.train_classifier.local_launcher import LocalLauncher
from tests.support.paths import RANK_PROGRAMS, TRAINER_PYTHON

WORKER = "launched_worker"
LAUNCH = f"""
import sys
from pathlib import Path
from components.storage.files import Files
from components.train_classifier.local_launcher import LocalLauncher
LocalLauncher(Path({str(TRAINER_PYTHON)!r}), Files(), {WORKER!r}).launch(sys.argv[1], int(sys.argv[2]))
"""


@pytest.fixture(autouse=True)
def _workers_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(RANK_PROGRAMS))


def request(folder: Path, text: str) -> str:
    path = folder / "request with a space.txt"
    path.write_text(text)
    return path.as_uri().replace("%20", " ")


def running_ranks(uri: str) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_text().split("\0")
        except OSError:
            continue
        if WORKER in command and uri in command and command[2] == WORKER:
            found.append(int(folder.name))
    return found


def wait_for(ranks: int, uri: str) -> bool:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if len(running_ranks(uri)) == ranks:
            return True
        time.sleep(0.1)
    return False


def test_output_of_all_ranks_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    LocalLauncher(TRAINER_PYTHON, Files(), WORKER).launch(request(tmp_path, "end"), 3)
    output = capsys.readouterr().out
    assert "\nprogress: rank 0 at work\n" in f"\n{output}"
    assert "rank 1: progress: rank 1 at work" in output
    assert "rank 2: progress: rank 2 at work" in output


def test_failed_rank_ends_the_others_and_is_the_reason(tmp_path: Path) -> None:
    uri = request(tmp_path, "fail")
    with pytest.raises(
        RuntimeError, match=r"^rank 1 of the training ended with exit code 1: OSError: the disk is full$"
    ):
        LocalLauncher(TRAINER_PYTHON, Files(), WORKER).launch(uri, 2)
    assert wait_for(0, uri)


def test_ranks_end_when_one_of_them_is_stopped(tmp_path: Path) -> None:
    uri = request(tmp_path, "stop")
    with pytest.raises(RuntimeError, match=r"^the training made no step for 8 s, so its ranks were ended\. "):
        LocalLauncher(TRAINER_PYTHON, Files(), WORKER, stall_timeout_seconds=8).launch(uri, 2)
    assert wait_for(0, uri)


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT], ids=lambda end: end.name)
def test_ranks_end_with_the_task_that_started_them(tmp_path: Path, end: signal.Signals, ranks: int) -> None:
    uri = request(tmp_path, "sleep")
    with subprocess.Popen([sys.executable, "-c", LAUNCH, uri, str(ranks)], stderr=subprocess.DEVNULL) as task:
        assert wait_for(ranks, uri)
        os.kill(task.pid, end)
        assert task.wait(30) != 0
    assert wait_for(0, uri)


def test_rank_that_is_killed_is_the_reason(tmp_path: Path) -> None:
    uri = request(tmp_path, "killed")
    with pytest.raises(RankKilled, match=r"^rank 1 of the training was ended by SIGKILL\. Its last line: progress: "):
        LocalLauncher(TRAINER_PYTHON, Files(), WORKER).launch(uri, 2)
    assert wait_for(0, uri)


def test_missing_trainer_environment_raises_error() -> None:
    with pytest.raises(InputError, match=r"^trainer_python: program '/no/python' not found"):
        make_launcher(Settings.load(trainer_python="/no/python"))

"""Starting ranks on this machine, and being sure that they end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.errors import InputError
from components.settings import Settings
from components.train_classifier.launchers import LocalLauncher, make_launcher

HERE = Path(__file__).parent
TRAINER_PYTHON = HERE.parent.parent / ".venv" / "trainer" / "bin" / "python"
WORKER = "launched_worker"
LAUNCH = f"""
import sys
from pathlib import Path
from components.train_classifier.launchers import LocalLauncher
LocalLauncher(Path({str(TRAINER_PYTHON)!r}), {WORKER!r}).launch(sys.argv[1], int(sys.argv[2]))
"""


@pytest.fixture(autouse=True)
def _workers_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(HERE))


def request(folder: Path, text: str) -> str:
    path = folder / "request with a space.txt"
    path.write_text(text)
    return path.as_uri().replace("%20", " ")


def ranks_at_work(uri: str) -> list[int]:
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
        if len(ranks_at_work(uri)) == ranks:
            return True
        time.sleep(0.1)
    return False


def test_all_ranks_run_and_what_they_say_is_passed_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    LocalLauncher(TRAINER_PYTHON, WORKER).launch(request(tmp_path, "end"), 3)
    said = capsys.readouterr().out
    assert "\nprogress: rank 0 at work\n" in f"\n{said}"
    assert "[1]<stdout>:progress: rank 1 at work" in said
    assert "[2]<stdout>:progress: rank 2 at work" in said


def test_a_rank_that_fails_ends_the_others_and_its_last_words_are_told(tmp_path: Path) -> None:
    uri = request(tmp_path, "fail")
    with pytest.raises(
        RuntimeError, match=r"^rank 1 of the training ended with exit code 1: OSError: the disk is full$"
    ):
        LocalLauncher(TRAINER_PYTHON, WORKER).launch(uri, 2)
    assert wait_for(0, uri)


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT], ids=lambda how: how.name)
def test_ranks_do_not_outlive_the_task_that_started_them(tmp_path: Path, how: signal.Signals, ranks: int) -> None:
    uri = request(tmp_path, "sleep")
    with subprocess.Popen([sys.executable, "-c", LAUNCH, uri, str(ranks)], stderr=subprocess.DEVNULL) as task:
        assert wait_for(ranks, uri)
        os.kill(task.pid, how)
        assert task.wait(30) != 0
    assert wait_for(0, uri)


def test_an_unknown_launcher_is_told() -> None:
    with pytest.raises(InputError, match=r"^launcher: there is no 'yarn'\. Use local or mpijob\.$"):
        make_launcher(Settings.load(launcher="yarn"))


def test_a_missing_trainer_environment_is_told() -> None:
    with pytest.raises(InputError, match=r"^trainer_python: no program '/no/python'"):
        make_launcher(Settings.load(trainer_python="/no/python"))

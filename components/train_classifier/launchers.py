"""How the ranks of a training are started."""

import ctypes
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Protocol

from components.errors import InputError
from components.settings import Settings

WORKER = "components.train_classifier.worker"
HOROVODRUN = "components.train_classifier.horovodrun"

_GRACE_SECONDS = 15
_SET_PARENT_DEATH_SIGNAL = 1
_RANK_LINE = re.compile(r"\[(?P<rank>\d+)\]<std(out|err)>:(?P<text>.*)")
_FAILED_RANK = re.compile(r"Process name: (?P<rank>\d+)")
_EXIT_CODE = re.compile(r"Exit code: (?P<code>\d+)")
_ERROR_LINE = re.compile(r"[\w.]+(Error|Exception): ")
# What Petastorm and TensorFlow print whatever one asks of them.
_NOISE = re.compile(r"Cache cleanup complete\.|WARNING: All log messages before absl|.*oneDNN custom operations are on")


class Launcher(Protocol):
    """Starts the worker once per rank and waits for all of them."""

    def launch(self, request_uri: str, ranks: int) -> None:
        """Run a training to its end.

        Args:
            request_uri: The `TrainingRequest`, where all ranks can read it.
            ranks: How many to start.

        Raises:
            RuntimeError: A rank failed.
        """


class LocalLauncher:
    """Starts ranks as processes on this machine, under horovodrun.

    Args:
        trainer_python: Python of the trainer environment.
        worker: Module that each rank runs.
    """

    def __init__(self, trainer_python: Path, worker: str = WORKER) -> None:
        self._python = trainer_python
        self._worker = worker

    def launch(self, request_uri: str, ranks: int) -> None:
        """Run a training to its end; see `Launcher`. The ranks end when this process does."""
        command = [str(self._python), "-m", self._worker, request_uri]
        if ranks > 1:
            horovodrun = [str(self._python), "-m", HOROVODRUN, "--disable-cache", "--gloo"]
            command = [*horovodrun, "-np", str(ranks), "-H", f"localhost:{ranks}", *command]
        said = _Said()
        with _process_group(command, self._environment(ranks)) as process:
            assert process.stdout is not None
            for line in process.stdout:
                said.add(line.rstrip("\n"))
            code = process.wait()
        if code != 0:
            raise RuntimeError(said.failure(code))

    def _environment(self, ranks: int) -> dict[str, str]:
        threads = max(1, len(os.sched_getaffinity(0)) // ranks)
        return {
            "TF_CPP_MIN_LOG_LEVEL": "2",
            **os.environ,
            "TF_USE_LEGACY_KERAS": "1",
            "OMP_NUM_THREADS": str(threads),
            "PYTHONUNBUFFERED": "1",
            "PATH": f"{self._python.parent}{os.pathsep}{os.environ.get('PATH', '')}",
        }


def make_launcher(settings: Settings) -> Launcher:
    """Return the launcher that the settings name.

    Args:
        settings: Name it, and what it needs.

    Raises:
        InputError: There is no such launcher, or it can't start anything.
    """
    if settings.launcher != "local":
        raise InputError(f"launcher: there is no '{settings.launcher}'. Use local.")
    python = shutil.which(settings.trainer_python)
    if python is None:
        raise InputError(
            f"trainer_python: no program '{settings.trainer_python}'. Make the trainer environment by `make setup`,"
            " and set IMAGE_PIPELINES_TRAINER_PYTHON to its Python."
        )
    return LocalLauncher(Path(python))


class _Said:
    """What the ranks print: passed on line by line, and searched for the reason when they fail."""

    def __init__(self) -> None:
        self._lines: dict[str, list[str]] = {}
        self._failed_rank = "0"
        self._code: str | None = None

    def add(self, line: str) -> None:
        match = _RANK_LINE.match(line)
        rank, text = (match["rank"], match["text"]) if match else ("", line)
        if not text.strip() or _NOISE.match(text):
            return
        print(line if match and rank != "0" else text, flush=True)
        if match:
            self._lines.setdefault(rank, []).append(text)
        elif failed := _FAILED_RANK.match(line):
            self._failed_rank = failed["rank"]
        elif code := _EXIT_CODE.match(line):
            self._code = code["code"]
        else:
            self._lines.setdefault("", []).append(line)

    def failure(self, code: int) -> str:
        lines = self._lines.get(self._failed_rank) or self._lines.get("") or []
        errors = [line for line in lines if _ERROR_LINE.match(line)]
        last = (errors or lines or ["it printed nothing"])[-1]
        return f"rank {self._failed_rank} of the training ended with exit code {self._code or code}: {last}"


@contextmanager
def _process_group(command: list[str], environment: dict[str, str]) -> "Iterator[subprocess.Popen[str]]":
    """Run a command whose processes are ended with the block, or with this process, however that ends."""
    set_parent_death_signal = ctypes.CDLL(None).prctl
    with (
        _sigterm_raises(),
        subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=lambda: set_parent_death_signal(_SET_PARENT_DEATH_SIGNAL, signal.SIGTERM),
        ) as process,
    ):
        try:
            yield process
        finally:
            _end(process)


def _end(process: "subprocess.Popen[str]") -> None:
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        os.killpg(process.pid, signal_number)
        try:
            # horovodrun ends its ranks, which are in sessions of their own, on both signals.
            process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            continue


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Make a polite end of this process run its clean-up. Python can arrange that in the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    previous = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)

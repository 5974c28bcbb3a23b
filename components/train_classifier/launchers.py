"""How the ranks of a training are started."""

import ctypes
import os
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
from components.train_classifier.environment import rank_environment
from components.train_classifier.job_file import keep_job
from components.train_classifier.mpijob.options import JobOptions
from components.train_classifier.said import Said

WORKER = "components.train_classifier.worker"
HOROVODRUN = "components.train_classifier.horovodrun"

_GRACE_SECONDS = 15
_SET_PARENT_DEATH_SIGNAL = 1


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
        keep_job(request_uri, {"command": command})
        said = Said()
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
            **rank_environment(os.environ),
            "OMP_NUM_THREADS": str(threads),
            "PATH": f"{self._python.parent}{os.pathsep}{os.environ.get('PATH', '')}",
        }


def make_launcher(settings: Settings, options: JobOptions | None = None) -> Launcher:
    """Return the launcher that the settings name.

    Args:
        settings: Name it, and what it needs.
        options: What it asks of a cluster.

    Raises:
        InputError: There is no such launcher, or it can't start anything.
    """
    match settings.launcher:
        case "local":
            return LocalLauncher(_trainer_python(settings))
        case "mpijob":
            # The Kubernetes client takes a second to import.
            from components.train_classifier.mpijob.launcher import MPIJobLauncher
            from components.train_classifier.mpijob.watch import Deadlines

            return MPIJobLauncher(options or JobOptions(), Deadlines.of(settings))
    raise InputError(f"launcher: there is no '{settings.launcher}'. Use local or mpijob.")


def _trainer_python(settings: Settings) -> Path:
    python = shutil.which(settings.trainer_python)
    if python is None:
        raise InputError(
            f"trainer_python: no program '{settings.trainer_python}'. Make the trainer environment by `make setup`,"
            " and set IMAGE_PIPELINES_TRAINER_PYTHON to its Python."
        )
    return Path(python)


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

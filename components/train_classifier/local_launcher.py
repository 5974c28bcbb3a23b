"""A launcher that starts the ranks of a training as processes on this machine."""

import ctypes
import math
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from components.storage.files import Files
from components.train_classifier.environment import THREADS, WORKER, rank_environment
from components.train_classifier.job_record import write_job_record
from components.train_classifier.launcher import RankKilled
from components.train_classifier.rank_output import RankOutput

HOROVODRUN = "components.train_classifier.rank.horovodrun"

_GRACE_SECONDS = 15
_STALL_POLL_SECONDS = 1.0
_SET_PARENT_DEATH_SIGNAL = 1


class LocalLauncher:
    """Starts ranks as processes on this machine, with horovodrun.

    Args:
        trainer_python: Python of the trainer environment.
        files: Access to the trainings' folders.
        worker: Module that each rank runs.
        stall_timeout_seconds: Time without progress of the ranks, in seconds, after which they end.
    """

    def __init__(
        self,
        trainer_python: Path,
        files: Files,
        worker: str = WORKER,
        stall_timeout_seconds: float = math.inf,
    ) -> None:
        self._python = trainer_python
        self._files = files
        self._worker = worker
        self._stall_timeout = stall_timeout_seconds

    def launch(self, request_uri: str, ranks: int) -> None:
        """Run a training to its end; see `Launcher`. The ranks end with this process."""
        command = [str(self._python), "-m", self._worker, request_uri]
        if ranks > 1:
            horovodrun = [str(self._python), "-m", HOROVODRUN, "--disable-cache", "--gloo"]
            command = [*horovodrun, "-np", str(ranks), "-H", f"localhost:{ranks}", *command]
        write_job_record(request_uri, {"command": command}, self._files)
        output = RankOutput()
        with (
            _process_group(command, self._environment(ranks)) as process,
            _ended_at_stall(process, output, self._stall_timeout) as stalls,
        ):
            assert process.stdout is not None
            for line in process.stdout:
                output.add(line.rstrip("\n"))
            code = process.wait()
        if stalls:
            raise RankKilled(stalls[0])
        if output.killed(code):
            raise RankKilled(output.failure(code))
        if code != 0:
            raise RuntimeError(output.failure(code))

    def clean_up(self, request_uri: str) -> bool:
        """Return True, because the ranks ended with the process that started them; see `Launcher`."""
        return True

    def _environment(self, ranks: int) -> dict[str, str]:
        threads = max(1, len(os.sched_getaffinity(0)) // ranks)
        return {
            **rank_environment(os.environ),
            THREADS: str(threads),
            "PATH": f"{self._python.parent}{os.pathsep}{os.environ.get('PATH', '')}",
        }


@contextmanager
def _process_group(command: list[str], environment: dict[str, str]) -> "Iterator[subprocess.Popen[str]]":
    """Run a command whose processes end with the block, or with this process even if it is killed."""
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


@contextmanager
def _ended_at_stall(
    process: "subprocess.Popen[str]", output: RankOutput, timeout_seconds: float
) -> Iterator[list[str]]:
    """End the ranks if they make no progress while the block runs.

    A thread does it, because the main thread waits for the next line.

    Yields:
        A list that gets the stall's message when the ranks are ended.
    """
    ended = threading.Event()
    stalls: list[str] = []

    def watch() -> None:
        while not ended.wait(_STALL_POLL_SECONDS):
            if output.seconds_without_progress > timeout_seconds:
                # Before the end, which makes the ranks print errors of their own.
                stalls.append(output.stall(timeout_seconds))
                _end(process)
                return

    thread = threading.Thread(target=watch, name="stall", daemon=True)
    thread.start()
    try:
        yield stalls
    finally:
        ended.set()
        thread.join()


def _end(process: "subprocess.Popen[str]") -> None:
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        os.killpg(process.pid, signal_number)
        try:
            # The ranks have sessions of their own, and end if horovodrun gets either signal.
            process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            continue


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Turn SIGTERM into SystemExit, so that `finally` blocks run.

    Python allows this in the main thread only.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def raise_exit(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    previous = signal.signal(signal.SIGTERM, raise_exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)

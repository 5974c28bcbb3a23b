"""Processes of single steps that are killed in a window of time and then repeated. The store shows the window."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

from components.lake import Lake, Table
from components.storage import uri
from tests.support.kills import loop_step
from tests.support.kills.separate_reader import log_versions
from tests.support.paths import REPOSITORY

# Some kills come at the start of the window, others a little later.
_SECONDS_INTO_IT = (0.0, 0.0, 0.05, 0.1)
_POLL_SECONDS = 0.02
# Polling this often takes much of a core.
_SHORT_POLL_SECONDS = 0.002
_LOG_CHARACTERS = 3000

ReadState = Callable[[], object]


class _StepEnded(Exception):  # noqa: N818 - it is no error
    pass


@dataclass(frozen=True)
class Window:
    """A window of time in which a step can be killed.

    Attributes:
        step: Name of the step.
        name: Description of what the step has written and what it has not.
        read_state: Function that reads a state of the store. The window opens when the state changes after the start of
            the step.
        after: The window that precedes a short one. Once it has opened, the short one is polled often.
        is_narrow: Whether the window lasts milliseconds. The step then runs in slow motion after the window before.
        resumes: The window of an earlier kill, whose work the step completes first.
    """

    step: str
    name: str
    read_state: ReadState
    after: "Window | None" = None
    is_narrow: bool = False
    resumes: "Window | None" = None


def open_plan(lake: Lake) -> Window:
    """Return the window in which ingest has planned a batch and written nothing after it."""
    newest = -1

    def read_state() -> int:
        nonlocal newest
        newest = max(newest, *_open_plans(lake), -1)
        return newest

    return Window("ingest", "a plan and nothing after it", read_state)


def has_open_plan(lake: Lake) -> bool:
    """Return whether ingest has planned a batch and not finished it."""
    return bool(_open_plans(lake))


def _open_plans(lake: Lake) -> list[int]:
    """Return the numbers of the open plans of all sources."""
    names = (name.rpartition("/")[2] for name in lake.files.find(uri.join(lake.root, "_plans")))
    return [int(name.removesuffix(".parquet")) for name in names if re.fullmatch(r"\d+\.parquet", name)]


def data_file(lake: Lake, step: str, table: Table, after: Window | None = None) -> Window:
    """Return the window in which a step writes data files of a table, before it commits them."""

    def read_state() -> int:
        return sum(name.endswith(".parquet") for name in lake.files.find(uri.join(lake.root, table.name)))

    return Window(step, f"a data file of {table.name} without its commit", read_state, after)


def log_entry(lake: Lake, step: str, table: Table) -> Window:
    """Return the window in which a step has committed to a table and written nothing after it."""
    return Window(step, f"a commit of {table.name} and nothing after it", lambda: len(log_versions(lake, table)))


class Steps:
    """Runs steps as processes. While one works, the next one starts its Spark session.

    Attributes:
        environment: Environment variables of the steps, in addition to those of this process.
        folder: Folder of the logs.
    """

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self.environment = environment
        self.folder = folder
        self._random = random.Random(0)
        self._prepared: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self._prepare()
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._prepared:
            if process.returncode is None:
                _kill(process)

    def start(self, step: str) -> "subprocess.Popen[bytes]":
        """Start a step in its own process group, so that its JVM is killed with it."""
        process = self._prepared[-1]
        _send(process, step)
        self._prepare()
        return process

    def start_at_once(self, step: str, number: int) -> "list[subprocess.Popen[bytes]]":
        """Start a step in several processes at once, after each has started Spark."""
        first = len(self._prepared) - 1
        for _ in range(number - 1):
            self._prepare()
        processes = self._prepared[first:]
        while not all(loop_step.READY in self.output(process) for process in processes):
            for process in processes:
                assert process.poll() is None, self.output(process)[-_LOG_CHARACTERS:]
            time.sleep(_POLL_SECONDS)
        for process in processes:
            _send(process, step)
        self._prepare()
        return processes

    def output(self, process: "subprocess.Popen[bytes]") -> str:
        """Return the output of a process."""
        return self._log(self._prepared.index(process)).read_text(errors="replace")

    def _prepare(self) -> None:
        with self._log(len(self._prepared)).open("wb") as log:
            self._prepared.append(
                subprocess.Popen(
                    # The poll for the window has priority: a window may last milliseconds.
                    ["nice", sys.executable, "-m", loop_step.__name__],
                    cwd=REPOSITORY,
                    # Without a locale, like a container.
                    env={**os.environ, "LC_ALL": "C", "IMAGE_PIPELINES_SPARK_MASTER": "local[1]", **self.environment},
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )

    def run(self, step: str) -> None:
        """Run a step until it ends."""
        process = self.start(step)
        assert process.wait() == 0, self.log()

    def kill_in(self, window: Window) -> None:
        """Start a step, and kill it as soon as a poll finds the window open.

        If a poll comes too late, the step may end after an earlier window. It is not killed then.
        """
        if window.resumes:
            self.kill_in(window.resumes)
        first, *later = _from_the_first(window)
        seen = first.read_state()
        process = self.start(window.step)
        ended = False
        try:
            self._wait(process, first, seen, partial(time.sleep, _POLL_SECONDS))
            if not later and not first.resumes:
                time.sleep(self._random.choice(_SECONDS_INTO_IT))
            for each, seen in [(each, each.read_state()) for each in later]:
                go_on = partial(_go_on, process) if each.is_narrow else time.sleep
                self._wait(process, each, seen, partial(go_on, _SHORT_POLL_SECONDS))
        except _StepEnded:
            assert later, f"it ended before {window.name}: {self.log()}"
            ended = True
        finally:
            _kill(process)
        assert process.returncode == (0 if ended else -signal.SIGKILL), self.log()

    def _wait(
        self, process: "subprocess.Popen[bytes]", window: Window, seen: object, go_on: Callable[[], None]
    ) -> None:
        while window.read_state() == seen:
            if process.poll() is not None:
                raise _StepEnded
            go_on()

    def log(self) -> str:
        """Return the end of the last started step's log."""
        return self.output(self._prepared[-2])[-_LOG_CHARACTERS:]

    def _log(self, number: int) -> Path:
        return self.folder / f"{number:03}.log"


def _from_the_first(window: Window) -> list[Window]:
    return [*(_from_the_first(window.after) if window.after else ()), window]


def _go_on(process: "subprocess.Popen[bytes]", seconds: float) -> None:
    """Let a step continue for some seconds, then pause it."""
    with suppress(ProcessLookupError):  # the process has ended
        os.killpg(process.pid, signal.SIGCONT)
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGSTOP)


def _send(process: "subprocess.Popen[bytes]", step: str) -> None:
    assert process.stdin is not None
    # The log of a process that has ended shows the cause.
    with suppress(BrokenPipeError), process.stdin as pipe:
        pipe.write(step.encode())


def _kill(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):  # the process has ended
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()

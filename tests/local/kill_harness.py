"""Steps of the loop in processes that are killed in a window that can be seen in the store, and then run again."""

import os
import random
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

from components.lake import Table
from components.storage import files, uri
from tests.conftest import REPOSITORY
from tests.local.loop_step import READY
from tests.local.separate_reader import log_versions

# So that a kill comes at the window's first moment, and some time into it.
_SECONDS_INTO_IT = (0.0, 0.0, 0.05, 0.1)
_POLL_SECONDS = 0.02
# Looking this often takes much of a core.
_SHORT_POLL_SECONDS = 0.002
_SAID = 3000

Look = Callable[[], object]


class _EndedByItself(Exception):  # noqa: N818 - reads as what happened
    pass


@dataclass(frozen=True)
class Window:
    """A time in which a step can be killed.

    Attributes:
        step: Which step.
        name: What has been written, and what has not.
        look: Returns what there is in the store; the window opens when that has changed since the step was started.
        after: The window that comes before one that is short: from then on, it is looked at often.
        is_narrow: Whether it is over within milliseconds, so that the step is in slow motion after the one before.
        resumes: The window of a kill before this one, whose work the step finishes first.
    """

    step: str
    name: str
    look: Look
    after: "Window | None" = None
    is_narrow: bool = False
    resumes: "Window | None" = None


def offset_without_commit(root: str, step: str) -> Window:
    """Return the window in which a step's stream has planned a batch and not finished it."""
    return Window(step, "an offset without its commit", lambda: _last_batch(root, step, "offsets"))


def has_unfinished_batch(root: str, step: str) -> bool:
    """Return whether a step's stream has planned a batch and not finished it."""
    return _last_batch(root, step, "offsets") > _last_batch(root, step, "commits")


def _last_batch(root: str, step: str, log: str) -> int:
    """Return the number of the newest batch in a log of a stream's checkpoint, -1 for none."""
    folder = uri.join(root, "_checkpoints")
    streams = [name for name in files.list_names(folder) if name.startswith(f"{step}-")]
    return max(
        (int(n) for name in streams for n in files.list_names(uri.join(folder, name, log)) if n.isdigit()), default=-1
    )


def log_entry(root: str, step: str, table: Table) -> Window:
    """Return the window in which a table has a new commit, and nothing that follows it."""
    return Window(step, f"a commit of {table.name} and nothing after it", lambda: len(log_versions(root, table)))


class Steps:
    """Runs steps of the loop in processes of their own, the next of which starts its Spark while one works.

    Attributes:
        environment: Settings of the steps, beside this process' environment.
        folder: Where logs go.
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
        """Start a step, in a process group of its own: its JVM dies with it."""
        process = self._prepared[-1]
        _tell(process, step)
        self._prepare()
        return process

    def start_at_once(self, step: str, number: int) -> "list[subprocess.Popen[bytes]]":
        """Start a step in several processes, when each has its Spark."""
        first = len(self._prepared) - 1
        for _ in range(number - 1):
            self._prepare()
        processes = self._prepared[first:]
        while not all(READY in self.said(process) for process in processes):
            for process in processes:
                assert process.poll() is None, self.said(process)[-_SAID:]
            time.sleep(_POLL_SECONDS)
        for process in processes:
            _tell(process, step)
        self._prepare()
        return processes

    def said(self, process: "subprocess.Popen[bytes]") -> str:
        """Return what a process has said."""
        return self._log(self._prepared.index(process)).read_text(errors="replace")

    def _prepare(self) -> None:
        with self._log(len(self._prepared)).open("wb") as log:
            self._prepared.append(
                subprocess.Popen(
                    # It gives way to who looks for the window, which may be over in milliseconds.
                    ["nice", sys.executable, "-m", "tests.local.loop_step"],
                    cwd=REPOSITORY,
                    env={**os.environ, "IMAGE_PIPELINES_SPARK_MASTER": "local[1]", **self.environment},
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )

    def run(self, step: str) -> None:
        """Run a step to its end."""
        process = self.start(step)
        assert process.wait() == 0, self.log()

    def kill_in(self, window: Window) -> None:
        """Start a step, and kill it in the window, or as soon as it can be seen that it was open.

        A step may come to its end after an earlier window, where nobody looked in time: then it is not killed.
        """
        if window.resumes:
            self.kill_in(window.resumes)
        first, *later = _from_the_first(window)
        seen = first.look()
        process = self.start(window.step)
        ended_by_itself = False
        try:
            self._wait(process, first, seen, partial(time.sleep, _POLL_SECONDS))
            if not later and not first.resumes:
                time.sleep(self._random.choice(_SECONDS_INTO_IT))
            for each, seen in [(each, each.look()) for each in later]:
                go_on = partial(_go_on, process) if each.is_narrow else time.sleep
                self._wait(process, each, seen, partial(go_on, _SHORT_POLL_SECONDS))
        except _EndedByItself:
            assert later, f"it ended before {window.name}: {self.log()}"
            ended_by_itself = True
        finally:
            _kill(process)
        assert process.returncode == (0 if ended_by_itself else -signal.SIGKILL), self.log()

    def _wait(
        self, process: "subprocess.Popen[bytes]", window: Window, seen: object, go_on: Callable[[], None]
    ) -> None:
        while window.look() == seen:
            if process.poll() is not None:
                raise _EndedByItself
            go_on()

    def log(self) -> str:
        """Return the end of the log of the step that was started last."""
        return self.said(self._prepared[-2])[-_SAID:]

    def _log(self, number: int) -> Path:
        return self.folder / f"{number:03}.log"


def _from_the_first(window: Window) -> list[Window]:
    return [*(_from_the_first(window.after) if window.after else ()), window]


def _go_on(process: "subprocess.Popen[bytes]", seconds: float) -> None:
    """Let a step work for so long, and stop it."""
    with suppress(ProcessLookupError):  # it has ended by itself
        os.killpg(process.pid, signal.SIGCONT)
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGSTOP)


def _tell(process: "subprocess.Popen[bytes]", step: str) -> None:
    assert process.stdin is not None
    # A process that is no more has said why in its log.
    with suppress(BrokenPipeError), process.stdin as pipe:
        pipe.write(step.encode())


def _kill(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):  # it has ended by itself
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()

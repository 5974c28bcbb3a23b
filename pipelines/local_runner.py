"""Run a compiled pipeline on this machine with kfp.local, and tell what happens meanwhile.

The run has a process of its own (this module run as a program), because kfp.local prints what its tasks print, and
that belongs into a log file.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Literal

from pydantic import BaseModel

_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_STARTED = re.compile(r"INFO - Executing task '(?P<task>[^']+)'")
_FINISHED = re.compile(r"(INFO|ERROR) - Task '(?P<task>[^']+)' finished with status (?P<status>\w+)")
# What components raise for people to read, as the last line of a traceback; Spark puts its own around it.
_ERROR = re.compile(r"^\s*(components\.errors\.InputError|TimeoutError|RuntimeError): (?P<sentence>.+)")
_STOP_SECONDS = 10


class PipelineFailed(RuntimeError):  # noqa: N818 - reads as what happened, like subprocess.TimeoutExpired
    """A local run failed; the message says which task, why if it said so, and where the log is."""


@dataclass(frozen=True)
class Event:
    """Something that happened in a run.

    Attributes:
        kind: What.
        task: The task's name, as in `ingest-images`; empty before the first one.
        text: The line that was printed, or the status that a task ended with.
        seconds: How long the task took, when it has finished.
    """

    kind: Literal["task_started", "task_finished", "line"]
    task: str
    text: str
    seconds: float | None = None


@dataclass(frozen=True)
class TaskRun:
    """A task that succeeded.

    Attributes:
        seconds: How long it took.
        outputs: Its output parameters by name.
        folder: Where its artifacts are.
    """

    seconds: float
    outputs: Mapping[str, Any]
    folder: Path


@dataclass
class LocalRun:
    """A pipeline's run.

    Attributes:
        folder: Where its tasks' folders are.
        tasks: The tasks that ran, by name, in order.
    """

    folder: Path = Path()
    tasks: dict[str, TaskRun] = field(default_factory=dict)


class _Request(BaseModel):
    pipeline: Path
    arguments: dict[str, Any]
    root: Path


def run_compiled(
    pipeline: Path,
    arguments: Mapping[str, Any],
    pipeline_root: Path,
    environment: Mapping[str, str],
    log_file: Path,
    on_event: Callable[[Event], None] = lambda event: None,
) -> LocalRun:
    """Run a compiled pipeline to its end.

    Args:
        pipeline: The compiled YAML.
        arguments: Pipeline parameters; the others keep their defaults.
        pipeline_root: The run's artifacts go into a folder of its own below it.
        environment: Added to this process' environment; settings are read from it.
        log_file: Gets all that the tasks print; appended to.
        on_event: Called with each event, in order.

    Returns:
        What ran.

    Raises:
        PipelineFailed: A task failed.
    """
    pipeline_root.mkdir(parents=True, exist_ok=True)
    root = Path(mkdtemp(prefix=f"{pipeline.stem}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-", dir=pipeline_root))
    request = _Request(pipeline=pipeline, arguments=dict(arguments), root=root)
    log_file.parent.mkdir(parents=True, exist_ok=True)
    reader = _LogReader(on_event)
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines.local_runner", request.model_dump_json()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
        start_new_session=True,
    )
    try:
        with log_file.open("a") as log:
            for line in process.stdout or ():
                log.write(line)
                reader.read(line.rstrip("\n"))
        code = process.wait()
    finally:
        _stop(process)
    if code != 0:
        where = f"task '{reader.failed}'" if reader.failed else "the pipeline"
        raise PipelineFailed(f"{where} failed. {reader.sentence or ''} See {log_file}.".replace("  ", " "))
    (folder,) = root.iterdir()
    return LocalRun(folder, {name: _task_run(folder / name, seconds) for name, seconds in reader.seconds.items()})


class _LogReader:
    """Makes events of what kfp.local prints."""

    def __init__(self, on_event: Callable[[Event], None]) -> None:
        self.seconds: dict[str, float] = {}
        self.failed = ""
        self.sentence = ""
        self._on_event = on_event
        self._task = ""
        self._started = 0.0

    def read(self, line: str) -> None:
        text = _COLOR.sub("", line)
        if match := _STARTED.search(text):
            self._task, self._started = match["task"], time.monotonic()
            self._on_event(Event("task_started", self._task, ""))
        elif match := _FINISHED.search(text):
            seconds = time.monotonic() - self._started
            if match["status"] == "SUCCESS":
                self.seconds[match["task"]] = seconds
            elif not self.failed:
                self.failed = match["task"]
            self._on_event(Event("task_finished", match["task"], match["status"], seconds))
        else:
            # The last one before the task's end is the outermost, and nearest to what a person can do about it.
            if (match := _ERROR.search(text)) and not self.failed:
                self.sentence = match["sentence"]
            self._on_event(Event("line", self._task, text.strip()))


def _stop(process: "subprocess.Popen[str]") -> None:
    """End the run's processes, Spark's and Horovod's among them, if this process is on its way out before them."""
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _task_run(folder: Path, seconds: float) -> TaskRun:
    output = folder / "executor_output.json"
    values = json.loads(output.read_text()).get("parameterValues", {}) if output.exists() else {}
    return TaskRun(seconds, values, folder)


def main() -> None:
    """Run the pipeline of the request that is the first argument."""
    from kfp import components, local

    request = _Request.model_validate_json(sys.argv[1])
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(request.root))
    components.load_component_from_file(str(request.pipeline))(**request.arguments)


if __name__ == "__main__":
    main()

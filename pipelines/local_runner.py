"""Run a compiled pipeline on this machine with kfp.local, and report events of the run.

The run has a process of its own, which executes this module. kfp.local prints the output of the tasks there, and the
parent process writes it to a log file.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Literal

from pydantic import BaseModel

from components.pipeline_run import RUN_ID_VARIABLE
from pipelines.error_lines import error_sentence
from pipelines.errors import RunFailed

_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_STARTED = re.compile(r"INFO - Executing task '(?P<task>[^']+)'")
_FINISHED = re.compile(r"(INFO|ERROR) - Task '(?P<task>[^']+)' finished with status (?P<status>\w+)")
_STOP_SECONDS = 10
# A local run has no page in a UI.
_NO_PAGE = {"IMAGE_PIPELINES_UI_ENDPOINT": "", "KF_PIPELINES_UI_ENDPOINT": ""}


@dataclass(frozen=True)
class Event:
    """An event of a run.

    Attributes:
        kind: Kind of the event.
        task: Name of the task, e.g. `ingest-images`; empty before the first task.
        text: The printed line, or the final status of a task.
        seconds: Duration of a finished task.
    """

    kind: Literal["task_started", "task_finished", "line"]
    task: str
    text: str
    seconds: float | None = None


@dataclass(frozen=True)
class FinishedTask:
    """A task that succeeded.

    Attributes:
        seconds: Duration.
        outputs: Output parameters by name.
        folder: Folder of its artifacts.
    """

    seconds: float
    outputs: Mapping[str, Any]
    folder: Path


@dataclass
class LocalRun:
    """A finished run.

    Attributes:
        folder: Folder with a folder for each task.
        tasks: Finished tasks by name, in order.
    """

    folder: Path = Path()
    tasks: dict[str, FinishedTask] = field(default_factory=dict)


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
        pipeline: Path of the compiled YAML.
        arguments: Pipeline parameters; the others keep their defaults.
        pipeline_root: Folder in which the run creates a folder for its artifacts.
        environment: Environment variables to add, e.g. settings.
        log_file: File to which the output of the tasks is appended.
        on_event: Called with each event, in order.

    Returns:
        The finished run.

    Raises:
        RunFailed: A task failed.
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
        env={**os.environ, "PYTHONUNBUFFERED": "1", **environment, **_NO_PAGE, RUN_ID_VARIABLE: root.name},
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
        raise RunFailed(f"{where} failed. {reader.sentence or ''} See {log_file}.".replace("  ", " "))
    (folder,) = root.iterdir()
    return LocalRun(folder, {name: _finished_task(folder / name, seconds) for name, seconds in reader.seconds.items()})


class _LogReader:
    """A parser of kfp.local's output that reports events."""

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
            if not self.failed:
                # A task that succeeded may have printed the error of an earlier attempt.
                self.sentence = ""
            self._on_event(Event("task_started", self._task, ""))
        elif match := _FINISHED.search(text):
            seconds = time.monotonic() - self._started
            if match["status"] == "SUCCESS":
                self.seconds[match["task"]] = seconds
            elif not self.failed:
                self.failed = match["task"]
            self._on_event(Event("task_finished", match["task"], match["status"], seconds))
        else:
            # The last error before the end of a task is the outermost one, which people can act on.
            if (sentence := error_sentence(text)) and not self.failed:
                self.sentence = sentence
            self._on_event(Event("line", self._task, text.strip()))


def _stop(process: "subprocess.Popen[str]") -> None:
    """End all processes of the run, e.g. Spark's and Horovod's, if it still runs."""
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _finished_task(folder: Path, seconds: float) -> FinishedTask:
    output = folder / "executor_output.json"
    values = json.loads(output.read_text()).get("parameterValues", {}) if output.exists() else {}
    return FinishedTask(seconds, values, folder)


def main() -> None:
    """Run the pipeline that the first argument requests."""
    from kfp import components, local

    request = _Request.model_validate_json(sys.argv[1])
    # The tasks request CPU and memory, which only a cluster grants.
    warnings.filterwarnings("ignore", "Task '.*': settings .* have no effect in the current local runner")
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(request.root))
    pipeline = components.load_component_from_file(str(request.pipeline))
    # The property pipeline_spec is a copy. A single component, e.g. for `rescore`, has neither a graph nor retries.
    if (graph := pipeline.component_spec.implementation.graph) is not None:
        _clear_retries(graph)
    pipeline(**request.arguments)


def _clear_retries(specification: Any) -> None:
    """Disable retries of tasks. There are no pods to lose, and tasks retry temporary errors."""
    for group in (specification.root, *specification.components.values()):
        for task in group.dag.tasks.values():
            task.ClearField("retry_policy")


if __name__ == "__main__":
    main()

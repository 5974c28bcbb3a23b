"""Attempts of the task train_classifier, as processes that can be killed."""

import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml
from kfp.dsl import TaskConfig
from tenacity import wait_none

from components import task
from components.train_classifier import launchers, report
from components.train_classifier.component import train_classifier
from components.train_classifier.launcher import Launcher

KILLED = -signal.SIGKILL


@dataclass(frozen=True)
class Outputs:
    """The outputs of an attempt.

    Attributes:
        folder: Folder of the files.
    """

    folder: Path

    def run(self, parameters: Mapping[str, Any], launcher: Launcher, before_publishing: Callable[[], None]) -> None:
        """Run the component's function in this process, which must not do anything else afterwards.

        Args:
            parameters: Parameters of the component.
            launcher: Launcher of the ranks.
            before_publishing: Function that is called when the training has succeeded.
        """
        self.folder.mkdir(parents=True)
        sys.stdout = sys.stderr = (self.folder / "log").open("w", buffering=1)
        write_report = report.write_report

        def write(*arguments: Any) -> None:
            before_publishing()
            write_report(*arguments)

        # No pauses between the tries of an attempt.
        vars(task)["PAUSE"] = wait_none()
        vars(launchers)["make_launcher"] = lambda *_: launcher
        vars(report)["write_report"] = write
        returned = train_classifier.python_func(
            metrics=SimpleNamespace(log_metric=lambda *_: None),
            report=SimpleNamespace(path=str(self.folder / "report.html")),
            job=SimpleNamespace(path=str(self.folder / "job.yaml")),
            task_config=TaskConfig(),
            **parameters,
        )
        (self.folder / "returned.json").write_text(json.dumps(returned))

    @property
    def returned(self) -> list[str]:
        """The outputs that the component returned."""
        return list(json.loads((self.folder / "returned.json").read_text()))

    @property
    def job(self) -> Any:
        """The artifact `job`."""
        return yaml.safe_load((self.folder / "job.yaml").read_text())

    @property
    def report(self) -> str:
        """The artifact `report`."""
        return (self.folder / "report.html").read_text()

    @property
    def log(self) -> str:
        """The output of the attempt."""
        return (self.folder / "log").read_text()


def die() -> None:
    """Kill this process."""
    os.kill(os.getpid(), signal.SIGKILL)


def run_all(*attempts: Callable[[], None]) -> list[int | None]:
    """Run attempts at the same time, each in a fork of this process, and return their exit codes."""
    processes = [get_context("fork").Process(target=attempt) for attempt in attempts]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]

"""What a run on this machine shows while it goes on: the task at work, its last word, and how long each one took."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.status import Status
from rich.text import Text

from pipelines.local_runner import Event

# Tasks say `progress: 512 images`; the rest of what they print is for the log.
_PROGRESS = re.compile(r"\bprogress: (?P<text>.+)")


@contextmanager
def show_progress(console: Console, pipeline: str) -> Iterator[Callable[[Event], None]]:
    """Show a pipeline's run while it goes on.

    Args:
        console: Where to. Only what is finished is printed if it is no terminal.
        pipeline: The pipeline's name.

    Yields:
        What to call with each event of the run.
    """
    with console.status(f"{pipeline}: starting") as status:
        yield _Progress(console, status, pipeline)


class _Progress:
    def __init__(self, console: Console, status: Status, pipeline: str) -> None:
        self._console = console
        self._status = status
        self._pipeline = pipeline
        self._said: dict[str, str] = {}
        self._started = time.monotonic()

    def __call__(self, event: Event) -> None:
        if event.kind == "task_finished":
            self._finished(event)
        elif event.kind == "task_started":
            self._started = time.monotonic()
            self._show(event.task)
        elif match := _PROGRESS.search(event.text):
            self._said[event.task] = match["text"].strip()
            self._show(event.task)

    def _finished(self, event: Event) -> None:
        succeeded = event.text == "SUCCESS"
        mark = Text("✓" if succeeded else "✗", style="green" if succeeded else "red")
        seconds = f"{event.seconds:7.1f} s" if event.seconds is not None else ""
        line = Text.assemble("  ", mark, f" {self._pipeline:<9}{event.task:<22}{seconds}")
        if said := self._said.get(event.task):
            line.append(f"  {said}", style="dim")
        self._console.print(line, soft_wrap=True)
        self._status.update(self._pipeline)

    def _show(self, task: str) -> None:
        said = self._said.get(task, "")
        self._status.update(Text(f"{self._pipeline}: {task}" + (f": {said}" if said else "")))

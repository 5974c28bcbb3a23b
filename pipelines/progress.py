"""Progress of a run on this machine: the active task with its latest progress line, and finished tasks."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event as Flag
from threading import Thread

from rich.console import Console
from rich.text import Text

from pipelines.local_runner import Event

# Tasks print lines such as `progress: 512 images`. All other lines are for the log.
_PROGRESS = re.compile(r"\bprogress: (?P<text>.+)")
# Interval between two log lines about an active task.
_REMINDER_SECONDS = 30.0


@contextmanager
def show_progress(
    console: Console, pipeline: str, reminder_seconds: float = _REMINDER_SECONDS
) -> Iterator[Callable[[Event], None]]:
    """Show the progress of a pipeline's run.

    A terminal shows a line for each finished task, and below them a line that counts the seconds of the active task. A
    log, e.g. in CI, has the lines of finished tasks, and a line about the active task at regular intervals.

    Args:
        console: Console to print to.
        pipeline: Name of the pipeline.
        reminder_seconds: Interval between two lines about the active task in a log.

    Yields:
        A function to call with each event of the run.
    """
    progress = _Progress(console, pipeline)
    ended = Flag()

    def remind() -> None:
        while not ended.wait(reminder_seconds):
            console.print(Text.assemble("  … ", progress.__rich__()), soft_wrap=True)

    reminder = Thread(target=remind, daemon=True)
    if not console.is_terminal:
        reminder.start()
    try:
        # Rich redraws the status twelve times a second, with the current seconds.
        with console.status(progress):
            yield progress
    finally:
        ended.set()
        if reminder.is_alive():
            reminder.join()


class _Progress:
    def __init__(self, console: Console, pipeline: str) -> None:
        self._console = console
        self._pipeline = pipeline
        self._task = "starting"
        self._latest: dict[str, str] = {}
        self._started = time.monotonic()

    def __call__(self, event: Event) -> None:
        if event.kind == "task_finished":
            self._print_finished(event)
            self._begin("next task")
        elif event.kind == "task_started":
            self._begin(event.task)
        elif match := _PROGRESS.search(event.text):
            self._latest[event.task] = match["text"].strip()

    def __rich__(self) -> Text:
        """Return the line about the active task."""
        line = self._line(self._task, f"{time.monotonic() - self._started:6.0f} s  ")
        line.no_wrap, line.overflow = True, "ellipsis"
        return line

    def _begin(self, task: str) -> None:
        self._task, self._started = task, time.monotonic()

    def _print_finished(self, event: Event) -> None:
        succeeded = event.text == "SUCCESS"
        mark = Text("✓" if succeeded else "✗", style="green" if succeeded else "red")
        seconds = f"{event.seconds:8.1f} s" if event.seconds is not None else ""
        self._console.print(Text.assemble("  ", mark, " ", self._line(event.task, seconds)), soft_wrap=True)

    def _line(self, task: str, seconds: str) -> Text:
        line = Text(f"{self._pipeline:<9}{task:<20}{seconds}")
        if latest := self._latest.get(task):
            line.append(f"  {latest}", style="dim")
        return line

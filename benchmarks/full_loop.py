"""The demo: once around the whole loop, beside the work inside its tasks."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.process import REPOSITORY
from benchmarks.results import OURS, Against, Direction, Goal, Row, make_row
from benchmarks.timing import Measured, seconds
from benchmarks.warm_loop import WarmLoop
from pipelines.demo.folder import DemoFolder
from pipelines.demo.summary import Summary


def measure(bench: Bench) -> Iterable[Row]:
    """Measure the seconds of a demo from nothing."""
    work = seconds(WarmLoop(bench, "warm-loop").run)
    demo = _demo(bench.folder / "demo")
    tasks = {pipeline: sum(each.values()) for pipeline, each in demo.seconds.items()}
    size = f"{demo.images:,} digits, {sum(map(len, demo.seconds.values()))} tasks"
    goal = Goal(direction=Direction.AT_MOST, value=1.5)
    yield make_row(
        Measured({OURS: [demo.total_seconds], Against.LIMIT: [sum(tasks.values())]}),
        Against.LIMIT, name="full-loop demo, of its tasks", size=size, unit="s", goal=goal,
        how="`make demo` from an empty folder, beside the sum of its tasks' seconds as kfp.local runs them, each with"
        " the start of its own Python and its own Spark",
        beside={f"{name}, s": f"{taken:.1f}" for name, taken in tasks.items()},
    )  # fmt: skip
    yield make_row(
        Measured({OURS: [demo.total_seconds], Against.LIMIT: [work]}),
        Against.LIMIT, name="full-loop demo, of the work inside its tasks", size=size, unit="s", goal=goal,
        how="the same demo, beside the calls that its components make, one after the other in one process with a warm"
        " Spark session, of which the start of the ranks is a part, as it is of what train_classifier does",
    )  # fmt: skip


def _demo(folder: Path) -> Summary:
    """Run the demo, and return its figures."""
    command = [sys.executable, "-m", "pipelines", "demo", "--folder", str(folder)]
    subprocess.run(command, cwd=REPOSITORY, stdout=sys.stderr.fileno(), check=True)
    return Summary.model_validate_json(DemoFolder(folder).summary.read_text())

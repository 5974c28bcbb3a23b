"""The demo, which runs the whole loop once."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.process import REPOSITORY
from benchmarks.results import OURS, Baseline, Direction, Goal, Row, make_row
from benchmarks.timing import Measurements, seconds
from benchmarks.warm_loop import WarmLoop
from pipelines.demo.folder import DemoFolder
from pipelines.demo.summary import Summary


def measure(bench: Bench) -> Iterable[Row]:
    """Measure the seconds of a demo that starts with an empty folder."""
    work = seconds(WarmLoop(bench, "warm-loop").run)
    demo = _run_demo(bench.folder / "demo")
    tasks = {pipeline: sum(durations.values()) for pipeline, durations in demo.seconds.items()}
    size = f"{demo.images:,} digits, {sum(map(len, demo.seconds.values()))} tasks"
    goal = Goal(direction=Direction.AT_MOST, value=1.5)
    yield make_row(
        Measurements({OURS: [demo.total_seconds], Baseline.LIMIT: [sum(tasks.values())]}),
        Baseline.LIMIT, name="full-loop demo, compared with its tasks", size=size, unit="s", goal=goal,
        how="Ours is `make demo` with an empty folder. The limit is the sum of the durations of its tasks, which"
        " kfp.local runs. Each task includes the start of Python and Spark.",
        details={f"{pipeline}, s": f"{duration:.1f}" for pipeline, duration in tasks.items()},
    )  # fmt: skip
    yield make_row(
        Measurements({OURS: [demo.total_seconds], Baseline.LIMIT: [work]}),
        Baseline.LIMIT, name="full-loop demo, compared with the work inside its tasks", size=size, unit="s", goal=goal,
        how="Ours is the same demo. The limit makes the calls of its components in sequence, in one process with a warm"
        " Spark session. It includes the start of the ranks, which is part of train_classifier.",
    )  # fmt: skip


def _run_demo(folder: Path) -> Summary:
    """Run the demo and return its figures."""
    command = [sys.executable, "-m", "pipelines", "demo", "--folder", str(folder)]
    subprocess.run(command, cwd=REPOSITORY, stdout=sys.stderr.fileno(), check=True)
    return Summary.model_validate_json(DemoFolder(folder).summary.read_text())

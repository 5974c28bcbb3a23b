"""Time and memory of maintenance and the doctor in a small and a large lake."""

import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from benchmarks.bench import Bench
from benchmarks.champion import make_champion
from benchmarks.filled_lake import FilledLake
from benchmarks.memory import peak_memory
from benchmarks.process import REPOSITORY
from benchmarks.results import OURS, Baseline, Direction, Goal, Row, make_row
from benchmarks.timing import Measurements, seconds
from components.lake import Lake
from components.maintain_lake.maintain import MaintenanceResult, maintain_lake
from components.parameters import MaintenanceFields
from components.registry.champion import require_champion
from components.registry.model_registry import ModelRegistry
from components.settings import Settings, variable
from tests.support.sampling import process_memory, process_tree, sampled

_SMALL, _LARGE = 10_000, 1_000_000
_SAMPLE_SECONDS = 0.5
# The large lake has a hundred times the images of the small one.
_IN_PROPORTION = Goal(direction=Direction.AT_MOST, value=_LARGE / _SMALL)
_CONSTANT = Goal(direction=Direction.AT_MOST, value=1.3)

_MAINTENANCE, _REPEATED, _DOCTOR = "first maintenance", "repeated maintenance", "doctor"
_LAKES = (
    " The reference's column shows the same in a lake of 10,000 images, also ours. The lakes have the images of up to"
    " 365 days, and were filled by writing their tables."
)
_HOW = {
    _MAINTENANCE: "Ours is the first maintenance of the lake, in a warm session. The memory is the driver's live heap."
    + _LAKES,
    _REPEATED: "Ours is a maintenance directly after another one. The memory is the driver's live heap." + _LAKES,
    _DOCTOR: "Ours is the command with all checks, from its start to its end, Spark included. The memory is that of all"
    " its processes (PSS)." + _LAKES,
}


@dataclass(frozen=True)
class _Cost:
    """What an operation costs.

    Attributes:
        seconds: Its duration in seconds.
        memory: Its peak memory in MiB.
        details: Further figures.
    """

    seconds: float
    memory: float
    details: dict[str, str]


def measure(bench: Bench) -> Iterable[Row]:
    """Measure the first and a repeated maintenance of each lake, and the doctor."""
    registry, _ = make_champion(bench, bench.settings("upkeep"), "small", 0)
    costs = {size: _costs(bench, registry, size) for size in (_SMALL, _LARGE)}
    for name in costs[_SMALL]:
        small, large = costs[_SMALL][name], costs[_LARGE][name]
        time_goal = _CONSTANT if name == _DOCTOR else _IN_PROPORTION
        for what, unit, goal, values in (
            ("seconds", "s", time_goal, (large.seconds, small.seconds)),
            ("peak memory", "MiB", _CONSTANT, (large.memory, small.memory)),
        ):
            yield make_row(
                Measurements({OURS: values[:1], Baseline.REFERENCE: values[1:]}), Baseline.REFERENCE,
                name=f"{name}: {what}", size=f"a lake of {_LARGE:,}", unit=unit, goal=goal, how=_HOW[name],
                details=large.details,
            )  # fmt: skip


def _costs(bench: Bench, registry: ModelRegistry, size: int) -> dict[str, _Cost]:
    name = f"upkeep-{size}"
    settings, lake = bench.settings(name), bench.lake(name)
    FilledLake(lake, bench.make_folder(name) / "landing", size, require_champion(registry)).fill()
    return {
        _MAINTENANCE: _maintenance(lake, settings),
        _REPEATED: _maintenance(lake, settings),
        _DOCTOR: _doctor(settings),
    }


def _maintenance(lake: Lake, settings: Settings) -> _Cost:
    results: list[MaintenanceResult] = []

    def run() -> None:
        results.append(maintain_lake(lake, settings, MaintenanceFields(), datetime.now(UTC)))

    with peak_memory(lake.spark) as peak:
        duration = seconds(run)
    small = sum(area.small for area in results[0].areas)
    return _Cost(duration, peak.heap / 2**20, {"small files that were compacted": f"{small:,}"})


def _doctor(settings: Settings) -> _Cost:
    environment = os.environ | {
        variable("lake"): settings.required("lake"),
        "MLFLOW_TRACKING_URI": settings.mlflow_tracking_uri,
        variable("model_name"): settings.model_name,
    }
    peak = 0

    def run() -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipelines", "doctor"], cwd=REPOSITORY, env=environment, stdout=subprocess.DEVNULL
        )

        def sample() -> None:
            nonlocal peak
            peak = max(peak, sum(process_memory(pid, "Pss") for pid in process_tree(process.pid)))

        with sampled(sample, _SAMPLE_SECONDS):
            # 1: it found an error, e.g. because no pipeline has run.
            if process.wait() not in (0, 1):
                raise RuntimeError(f"the doctor ended with {process.returncode}")

    duration = seconds(run)
    return _Cost(duration, peak / 2**20, {})

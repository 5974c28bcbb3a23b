"""Cost of each step as a lake grows.

Each step handles 100 images (export: 50). The lakes have 10,000, 100,000 and 1,000,000 images, and the landing folders
as many files.
"""

import os
import sys
from collections.abc import Iterable

from benchmarks.bench import Bench
from benchmarks.champion import make_champion
from benchmarks.filled_lake import FilledLake
from benchmarks.lake_steps import Cost, LakeSteps
from benchmarks.process import MeasuringProcess
from benchmarks.results import OURS, Baseline, Direction, Goal, Row, make_row
from benchmarks.timing import Measurements, take_turns
from components.registry.champion import require_champion
from components.registry.model_registry import ModelRegistry
from components.settings import Settings

# Images of each lake, and files of its landing folder.
SIZES = (10_000, 100_000, 1_000_000)
_ROUNDS = 2
_SECONDS = Goal(direction=Direction.AT_MOST, value=1.3)
_HEAP = Goal(direction=Direction.AT_MOST, value=1.1)
_HOW = (
    "Ours is a run of the step in a warm session. The reference's column shows the same run, also ours, in a lake of"
    " 10,000 images. Each lake is filled by writing its tables: 100 images for each of the last 30 days, and the others"
    " for up to 335 earlier days. The first twentieth of the images has labels from folders. The others are scored. The"
    " landing folder has a file for each image."
)
_HOW_HEAP = (
    "The same steps, each lake in a session of its own and after one run of them. The value is the peak of the heap"
    " after garbage collections, about four a second."
)


def measure(bench: Bench) -> Iterable[Row]:
    """Measure the seconds and the driver's heap of each step."""
    champion_settings = bench.settings("growing")
    registry, _ = make_champion(bench, champion_settings, "small", 0)
    lakes = {size: _filled(bench, registry, size) for size in SIZES}
    # The first run compiles code, lists the whole landing folder, and sets the watermarks.
    first = {size: steps.run() for size, steps in lakes.items()}
    timed = take_turns({str(size): steps.run for size, steps in lakes.items()}, _ROUNDS)
    sampled = {size: _sampled(bench, champion_settings, size, steps) for size, steps in lakes.items()}
    smallest, *larger = SIZES
    for size in larger:
        for step in sampled[size]:
            costs = sampled[size][step], sampled[smallest][step]
            runs = [[run[step].seconds for run in timed[str(images)]] for images in (size, smallest)]
            yield make_row(
                Measurements({OURS: runs[0], Baseline.REFERENCE: runs[1]}), Baseline.REFERENCE,
                name=step, size=f"a lake of {size:,}", unit="s", goal=_SECONDS, how=_HOW,
                details={
                    "ours": str(costs[0]),
                    "lake of 10,000": str(costs[1]),
                    "first run, without a watermark": f"{first[size][step].seconds:.1f} s",
                },
            )  # fmt: skip
            heaps = [[cost.heap / 2**20] for cost in costs]
            yield make_row(
                Measurements({OURS: heaps[0], Baseline.REFERENCE: heaps[1]}), Baseline.REFERENCE,
                name=f"{step}: driver heap", size=f"a lake of {size:,}", unit="MiB", goal=_HEAP, how=_HOW_HEAP,
            )  # fmt: skip


def _filled(bench: Bench, registry: ModelRegistry, size: int) -> LakeSteps:
    name = f"growing-{size}"
    lake = bench.lake(name)
    steps = LakeSteps(lake, bench.settings(name), registry, size)
    FilledLake(lake, steps.landing, size, require_champion(registry)).fill()
    return steps


def _sampled(bench: Bench, champion: Settings, size: int, steps: LakeSteps) -> dict[str, Cost]:
    """Measure memory in a process of its own."""
    name = f"growing-{size}"
    process = MeasuringProcess(
        [sys.executable, "-m", "benchmarks.lake_steps"], bench.folder / f"{name}.log", os.environ
    )
    try:
        lake = bench.settings(name).required("lake")
        costs = process.call([lake, champion.mlflow_tracking_uri, champion.model_name, steps.images])
    finally:
        process.close()
    return {step: Cost(**cost) for step, cost in costs.items()}

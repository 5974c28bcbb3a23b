"""Cost of each step as a lake grows.

Each step handles 100 images (export: 50). The lakes have 10,000, 100,000 and 1,000,000 images, and the landing folders
as many files.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from benchmarks.bench import Bench
from benchmarks.champion import make_champion
from benchmarks.filled_lake import FilledLake
from benchmarks.images import digits, write_images
from benchmarks.memory import peak_memory
from benchmarks.results import OURS, Baseline, Direction, Goal, Row, make_row
from benchmarks.timing import Measurements, seconds, take_turns
from components.export_for_labeling.export import export_batch
from components.import_labels.import_annotations import import_into
from components.ingest_images.ingest import ingest_folder
from components.labeling.sources import open_source
from components.parameters import Choice
from components.registry.champion import read_succession, require_champion
from components.registry.model_registry import ModelRegistry
from components.score_images.score import score_lake
from components.storage import uri
from components.storage.open_folder import open_folder
from tests.support.spark_io import SparkIO

# Images of each lake, and files of its landing folder.
SIZES = (10_000, 100_000, 1_000_000)
_NEW_IMAGES = 100
_EXPORTED_IMAGES = 50
_ROUNDS = 2
_SECONDS = Goal(direction=Direction.AT_MOST, value=1.3)
_HEAP = Goal(direction=Direction.AT_MOST, value=1.1)
_HOW = (
    "Ours is a run of the step in a warm session. The reference's column shows the same run, also ours, in a lake of"
    " 10,000 images. Each lake is filled by writing its tables: 100 images for each of the last 30 days, and the others"
    " for up to 335 earlier days. The first twentieth of the images has labels from folders. The others are scored. The"
    " landing folder has a file for each image."
)


@dataclass(frozen=True)
class _Cost:
    """The cost of a run of a step.

    Attributes:
        seconds: Duration in seconds. Samples of memory make it longer.
        bytes: Bytes that the JVM and its Python workers read.
        heap: Peak of the driver's live heap in bytes; 0 if memory was not sampled.
        jvm: Peak of the JVM's resident memory in bytes; 0 if memory was not sampled.
        workers: Peak of the Python workers' memory in bytes; 0 if memory was not sampled.
    """

    seconds: float
    bytes: int
    heap: int = 0
    jvm: int = 0
    workers: int = 0

    def __str__(self) -> str:
        return (
            f"{self.bytes / 1e6:,.1f} MB read, JVM {self.jvm / 2**20:,.0f} MiB resident, workers"
            f" {self.workers / 2**20:,.0f} MiB"
        )


def measure(bench: Bench) -> Iterable[Row]:
    """Measure the seconds and the driver's heap of each step."""
    registry, _ = make_champion(bench, bench.settings("growing"), "small", 0)
    lakes = {size: _GrowingLake(bench, registry, size) for size in SIZES}
    # The first run compiles code, lists the whole landing folder, and sets the watermarks.
    first = {size: lake.run_steps() for size, lake in lakes.items()}
    timed = take_turns({str(size): lake.run_steps for size, lake in lakes.items()}, _ROUNDS)
    sampled = {size: lake.run_steps(sample=True) for size, lake in lakes.items()}
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
                name=f"{step}: driver heap", size=f"a lake of {size:,}", unit="MiB", goal=_HEAP,
                how="The same runs. The value is the peak of the heap after garbage collections, about four a second.",
            )  # fmt: skip


class _GrowingLake:
    """A filled lake and the steps of the pipelines.

    Args:
        bench: The run.
        registry: The registry of the champion.
        images: Initial number of images of the lake, and of files of its landing folder.
    """

    def __init__(self, bench: Bench, registry: ModelRegistry, images: int) -> None:
        name = f"growing-{images}"
        self._lake, self._settings = bench.lake(name), bench.settings(name)
        self._registry = registry
        self._folder = bench.make_folder(name)
        self._landing = self._folder / "landing"
        self._images = images
        FilledLake(self._lake, self._landing, images, require_champion(registry)).fill()

    def run_steps(self, sample: bool = False) -> dict[str, _Cost]:
        """Add new files, run each step on them, and return the costs by step.

        Args:
            sample: Whether to sample memory. Sampling makes the steps slower.
        """
        numbers = range(self._images, self._images + _NEW_IMAGES)
        self._images += _NEW_IMAGES
        folder = self._landing / f"{datetime.now(UTC):%Y/%m/%d}"
        write_images(folder, digits(_NEW_IMAGES, numbers.start), numbers.start)
        paths = [uri.column_spelling(uri.normalize(f"{folder}/{number:06}.jpg", "path")) for number in numbers]
        steps: dict[str, tuple[Callable[[], int], int]] = {
            f"ingest of {_NEW_IMAGES} new images": (self._ingest, _NEW_IMAGES),
            f"scoring of {_NEW_IMAGES} new images": (self._score, _NEW_IMAGES),
            f"export of {_EXPORTED_IMAGES} images": (self._export, _EXPORTED_IMAGES),
            f"import of {_NEW_IMAGES} labels": (lambda: self._import(paths, 1), _NEW_IMAGES),
            f"change of {_NEW_IMAGES} labels": (lambda: self._import(paths, 2), _NEW_IMAGES),
        }
        return {name: self._cost(name, step, expected, sample) for name, (step, expected) in steps.items()}

    def _ingest(self) -> int:
        return ingest_folder(self._lake, uri.normalize(str(self._landing), "source"), labeled=False).ingested

    def _score(self) -> int:
        return score_lake(self._lake, self._registry, require_champion(self._registry)).scored

    def _export(self) -> int:
        destination = open_folder(str(self._folder / "exports"), "destination", self._settings)
        succession = read_succession(self._registry, require_champion(self._registry))
        choice = Choice(threshold=1, budget=_EXPORTED_IMAGES, audit_fraction=0)
        exported = export_batch(self._lake, self._settings, destination, succession, choice)
        return exported.count

    def _import(self, paths: list[str], label: int) -> int:
        """Import one person's annotations. The latest annotation of an image counts."""
        annotation = {"label": label, "annotator": "person", "annotated_at": datetime.now(UTC).isoformat()}
        lines = [json.dumps(annotation | {"path": path}) for path in paths]
        annotations = self._folder / "annotations.jsonl"
        annotations.write_text("\n".join(lines))
        return import_into(self._lake, self._registry, open_source(str(annotations), self._settings)).imported

    def _cost(self, name: str, step: Callable[[], int], expected: int, sample: bool) -> _Cost:
        spark = self._lake.spark
        counts: list[int] = []
        before = SparkIO.now(spark)
        if sample:
            # Otherwise the cached snapshots of the other lakes count.
            spark._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()
            with peak_memory(spark) as peak:
                duration = seconds(lambda: counts.append(step()))
        else:
            duration = seconds(lambda: counts.append(step()))
        read = (SparkIO.now(spark) - before).read
        if counts != [expected]:
            raise RuntimeError(f"{name}: the step handled {counts[0]} images instead of {expected}")
        print(f"{self._folder.name}: {name}: {duration:.2f} s, {read / 1e6:.1f} MB read", flush=True)
        return _Cost(duration, read, peak.heap, peak.jvm, peak.workers) if sample else _Cost(duration, read)

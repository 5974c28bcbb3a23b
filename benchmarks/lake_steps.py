"""Runs of all steps in a lake, with their cost.

`python -m benchmarks.lake_steps` measures memory in a session of its own, because a session's heap keeps what earlier
lakes left. The argument of a call is a list of the lake, MLflow's tracking URI, the model's name and the number of
images; the result is the cost by step.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.images import digits, write_images
from benchmarks.memory import peak_memory
from benchmarks.process import RESULT_PREFIX
from benchmarks.timing import seconds
from components.export_for_labeling.export import export_batch
from components.import_labels.import_annotations import import_into
from components.ingest_images.ingest import ingest_folder
from components.labeling.sources import open_source
from components.lake import Lake
from components.parameters import Choice
from components.registry.champion import read_succession, require_champion
from components.registry.model_registry import ModelRegistry
from components.score_images.score import score_lake
from components.settings import Settings
from components.spark.session import spark_session
from components.storage import uri
from components.storage.open_folder import open_folder
from tests.support.spark_io import SparkIO

NEW_IMAGES = 100
_EXPORTED_IMAGES = 50


@dataclass(frozen=True)
class Cost:
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


class LakeSteps:
    """A lake and the steps of the pipelines.

    Args:
        lake: The lake.
        settings: Settings of its installation.
        registry: The registry of the champion.
        images: Number of images of the lake, and of files of its landing folder.
    """

    def __init__(self, lake: Lake, settings: Settings, registry: ModelRegistry, images: int) -> None:
        self._lake, self._settings, self._registry = lake, settings, registry
        self._folder = Path(settings.required("lake")).parent
        self.landing = self._folder / "landing"
        self.images = images

    def run(self, sample: bool = False) -> dict[str, Cost]:
        """Add new files, run each step on them, and return the costs by step.

        Args:
            sample: Whether to sample memory. Sampling makes the steps slower.
        """
        numbers = range(self.images, self.images + NEW_IMAGES)
        self.images += NEW_IMAGES
        folder = self.landing / f"{datetime.now(UTC):%Y/%m/%d}"
        write_images(folder, digits(NEW_IMAGES, numbers.start), numbers.start)
        paths = [uri.column_spelling(uri.normalize(f"{folder}/{number:06}.jpg", "path")) for number in numbers]
        steps: dict[str, tuple[Callable[[], int], int]] = {
            f"ingest of {NEW_IMAGES} new images": (self._ingest, NEW_IMAGES),
            f"scoring of {NEW_IMAGES} new images": (self._score, NEW_IMAGES),
            f"export of {_EXPORTED_IMAGES} images": (self._export, _EXPORTED_IMAGES),
            f"import of {NEW_IMAGES} labels": (lambda: self._import(paths, 1), NEW_IMAGES),
            f"change of {NEW_IMAGES} labels": (lambda: self._import(paths, 2), NEW_IMAGES),
        }
        return {name: self._cost(name, step, expected, sample) for name, (step, expected) in steps.items()}

    def _ingest(self) -> int:
        return ingest_folder(self._lake, uri.normalize(str(self.landing), "source"), labeled=False).ingested

    def _score(self) -> int:
        return score_lake(self._lake, self._registry, require_champion(self._registry)).scored

    def _export(self) -> int:
        destination = open_folder(str(self._folder / "exports"), "destination", self._settings)
        succession = read_succession(self._registry, require_champion(self._registry))
        choice = Choice(threshold=1, budget=_EXPORTED_IMAGES, audit_fraction=0)
        return export_batch(self._lake, self._settings, destination, succession, choice).count

    def _import(self, paths: list[str], label: int) -> int:
        """Import one person's annotations. The latest annotation of an image counts."""
        annotation = {"label": label, "annotator": "person", "annotated_at": datetime.now(UTC).isoformat()}
        lines = [json.dumps(annotation | {"path": path}) for path in paths]
        annotations = self._folder / "annotations.jsonl"
        annotations.write_text("\n".join(lines))
        return import_into(self._lake, self._registry, open_source(str(annotations), self._settings)).imported

    def _cost(self, name: str, step: Callable[[], int], expected: int, sample: bool) -> Cost:
        spark = self._lake.spark
        counts: list[int] = []
        before = SparkIO.now(spark)
        if sample:
            with peak_memory(spark) as peak:
                duration = seconds(lambda: counts.append(step()))
        else:
            duration = seconds(lambda: counts.append(step()))
        read = (SparkIO.now(spark) - before).read
        if counts != [expected]:
            raise RuntimeError(f"{name}: the step handled {counts[0]} images instead of {expected}")
        print(f"{self._folder.name}: {name}: {duration:.2f} s, {read / 1e6:.1f} MB read", flush=True)
        return Cost(duration, read, peak.heap, peak.jvm, peak.workers) if sample else Cost(duration, read)


def main() -> None:
    """Serve the calls of a `MeasuringProcess`."""
    for line in sys.stdin:
        lake, tracking_uri, model_name, images = json.loads(line)
        settings = Settings.load(lake=lake, mlflow_tracking_uri=tracking_uri, model_name=model_name)
        spark = spark_session(settings)
        spark.sparkContext.setLogLevel("ERROR")
        steps = LakeSteps(Lake.open(spark, settings), settings, ModelRegistry.open(settings), images)
        # The first run loads classes, which stay in the heap.
        steps.run()
        costs = {name: asdict(cost) for name, cost in steps.run(sample=True).items()}
        print(RESULT_PREFIX + json.dumps(costs), flush=True)


if __name__ == "__main__":
    main()

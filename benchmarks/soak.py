"""Rounds of the loop in one process: memory, time and files must not grow.

A round ingests, scores, exports and annotates a few images, and imports the annotations. 300 rounds take hours:
`python -m benchmarks soak --folder DIR`. DIR then has the figures of each round, and their plot.

The time of a round is processor time, so that other work on the machine does not count. Spark has the demo's options
for little data, except that it skips files by their statistics: else the time would depend on the number of files.
"""

import gc
import io
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.bench import Bench
from benchmarks.champion import make_champion
from benchmarks.images import digits, write_images
from benchmarks.results import OURS, Baseline, Direction, Goal, Row, make_row
from benchmarks.timing import Measurements, seconds
from components.build_training_set.build import build_training_set
from components.evaluate_classifier.evaluate import Challenger, evaluate
from components.export_for_labeling.export import export_batch
from components.import_labels.import_annotations import import_into
from components.ingest_images.ingest import ingest_folder
from components.labeling.sources import open_source
from components.lake.tables import IMAGES, TABLES
from components.maintain_lake.maintain import maintain_lake
from components.parameters import Choice, MaintenanceFields
from components.register_model.register import Candidate, register
from components.registry.champion import read_succession, require_champion
from components.report.charts import new_figure
from components.score_images.score import score_lake
from components.settings import variable
from components.storage import uri
from components.storage.open_folder import open_folder
from components.train_classifier.train import train
from pipelines.demo.folder import SMALL_QUERIES
from tests.support.sampling import process_memory, processor_seconds

ROUNDS = 300
NEW_IMAGES = 6
RETRAINING_ROUNDS = 30
MAINTENANCE_ROUNDS = 50
_LABELS = 10
_JAVA_OPTIONS = f"-XX:+UseSerialGC {SMALL_QUERIES} -Dspark.databricks.delta.stats.skipping=true"
_TRAINING: dict[str, Any] = {"backbone": "small", "image_size": 32, "epochs": 1, "learning_rate": 0.002, "ranks": 1}
_QUANTITIES = {
    "processor": ("processor time of a round", "s", Goal(direction=Direction.AT_MOST, value=1.3)),
    "heap": ("live heap of the driver", "MiB", Goal(direction=Direction.AT_MOST, value=1.1)),
    "python": ("memory of the driver's Python", "MiB", Goal(direction=Direction.AT_MOST, value=1.1)),
    "files_added": ("files that a round adds", "files", Goal(direction=Direction.AT_MOST, value=1.1)),
    "table_files": ("files of the tables without images", "files", Goal(direction=Direction.AT_MOST, value=1.1)),
}


@dataclass(frozen=True)
class Round:
    """The figures of a round.

    Attributes:
        number: Number, from 1.
        seconds: Duration in seconds, without a retraining and a maintenance.
        processor: Processor time of this process, its JVM and its workers in that duration, in seconds.
        heap: Live heap of the JVM after the round, in MiB.
        python: Resident memory of this process after the round, in MiB.
        files: Files in the lake's folder after the round.
        files_added: Files that the round added, those of a retraining and a maintenance excluded.
        table_files: Files in the latest versions of the tables. `images` does not count, because it keeps a file of
            each ingest until its day has ended.
        maintenance_seconds: Duration of the maintenance after the round, in seconds; 0 if there was none.
    """

    number: int
    seconds: float
    processor: float
    heap: float
    python: float
    files: int
    files_added: int
    table_files: int
    maintenance_seconds: float = 0


class Soak:
    """A lake and its rounds.

    Args:
        bench: The run.
    """

    def __init__(self, bench: Bench) -> None:
        self._settings = bench.settings("soak")
        self._registry, _ = make_champion(bench, self._settings, "small", 0)
        self._lake = bench.lake("soak")
        self._folder = Path(self._settings.required("lake")).parent
        self._labeled()

    def run(self, number: int) -> Round:
        """Run a round, and return its figures.

        Args:
            number: Number, from 1.
        """
        before, used_before = self._count_files(), processor_seconds(os.getpid())
        duration = seconds(lambda: self._loop(number))
        after, used = self._count_files(), processor_seconds(os.getpid())
        if number % RETRAINING_ROUNDS == 0:
            self._retrain()
        maintenance = seconds(self._maintain) if number % MAINTENANCE_ROUNDS == 0 else 0
        runtime = self._lake.spark.sparkContext._jvm.java.lang
        # Both collectors: what Python holds, the JVM does not free.
        gc.collect()
        runtime.System.gc()
        memory = runtime.Runtime.getRuntime()
        return Round(
            number,
            duration,
            used - used_before,
            int(memory.totalMemory() - memory.freeMemory()) / 2**20,
            process_memory(os.getpid(), "Rss") / 2**20,
            self._count_files(),
            after - before,
            sum(self._lake.delta(table).detail().first()["numFiles"] for table in TABLES if table is not IMAGES),
            maintenance,
        )

    def _loop(self, number: int) -> None:
        first = number * NEW_IMAGES
        numbers = range(first, first + NEW_IMAGES)
        landing = self._folder / "landing"
        folder = landing / f"{datetime.now(UTC):%Y/%m/%d}"
        write_images(folder, digits(NEW_IMAGES, first), first)
        ingested = ingest_folder(self._lake, uri.normalize(str(landing), "source"), labeled=False).ingested
        champion = require_champion(self._registry)
        scored = score_lake(self._lake, self._registry, champion).scored
        destination = open_folder(str(self._folder / "exports"), "destination", self._settings)
        choice = Choice(threshold=1, fraction=1, audit_fraction=0)
        succession = read_succession(self._registry, champion)
        exported = export_batch(self._lake, self._settings, destination, succession, choice).count
        paths = [uri.column_spelling(uri.normalize(f"{folder}/{each:06}.jpg", "path")) for each in numbers]
        imported = self._import(number, paths)
        if not ingested == exported == imported == NEW_IMAGES or scored < NEW_IMAGES:
            raise RuntimeError(
                f"round {number}: {ingested} images ingested, {scored} scored, {exported} exported and {imported}"
                f" imported, instead of {NEW_IMAGES}"
            )

    def _import(self, number: int, paths: Sequence[str]) -> int:
        annotation = {"annotator": "person", "annotated_at": datetime.now(UTC).isoformat()}
        lines = [
            json.dumps(annotation | {"path": path, "label": index % _LABELS})
            for index, path in enumerate(paths, number)
        ]
        # Each round has a file of its own, as labeling services write them, and imports it alone.
        annotations = self._folder / "annotations" / f"{number:04}.jsonl"
        annotations.parent.mkdir(exist_ok=True)
        annotations.write_text("\n".join(lines))
        return import_into(self._lake, self._registry, open_source(str(annotations), self._settings)).imported

    def _labeled(self) -> None:
        """Ingest labeled images, which the retrainings need in each split."""
        folder = self._folder / "labeled"
        for label in range(_LABELS):
            write_images(folder / f"{label:03}.digit", digits(20, 100_000 + 20 * label), 100_000 + 20 * label)
        ingest_folder(self._lake, uri.normalize(str(folder), "source"), labeled=True)

    def _retrain(self) -> None:
        members = build_training_set(self._lake).training_set
        _, trained = train(self._settings, members.uri, **_TRAINING)
        model = trained.run_id, trained.model_uri, trained.model_digest
        evaluation = evaluate(self._settings, members.uri, Challenger(*model))
        register(
            self._settings,
            Candidate(
                *model,
                training_set=members.uri,
                accuracy=evaluation.challenger.accuracy,
                promote=evaluation.decision.promote,
                reason=evaluation.decision.reason,
                compared_with=evaluation.compared_with,
            ),
        )

    def _maintain(self) -> None:
        maintain_lake(self._lake, self._settings, MaintenanceFields(), datetime.now(UTC))

    def _count_files(self) -> int:
        return sum(len(names) for _, _, names in os.walk(self._folder / "lake"))


def measure(bench: Bench, rounds: int = ROUNDS) -> Iterable[Row]:
    """Measure the growth of each quantity from the first rounds to the last ones.

    Args:
        bench: The run. Its folder receives `soak.jsonl` and `soak.svg`.
        rounds: Number of rounds.
    """
    os.environ.setdefault(variable("spark_driver_java_options"), _JAVA_OPTIONS)
    soak, measured = Soak(bench), []
    with (bench.folder / "soak.jsonl").open("w") as file:
        for number in range(1, rounds + 1):
            measured.append(soak.run(number))
            # After an interruption, the figures so far are there.
            print(json.dumps(asdict(measured[-1])), file=file, flush=True)
    (bench.folder / "soak.svg").write_text(plot(measured))
    yield from rows(measured)


def rows(measured: Sequence[Round]) -> Iterable[Row]:
    """Return a row for each quantity: its last median divided by its first.

    The medians are those of the last rounds and of the first warm ones.

    Args:
        measured: The rounds, at least 3.
    """
    first, last = windows(measured)
    for name, (title, unit, goal) in _QUANTITIES.items():
        medians = [float(median(getattr(each, name) for each in part)) for part in (last, first)]
        yield make_row(
            Measurements({OURS: medians[:1], Baseline.REFERENCE: medians[1:]}), Baseline.REFERENCE,
            name=f"soak: {title}", size=f"{len(measured)} rounds of {NEW_IMAGES} images", unit=unit, goal=goal,
            how=f"Ours is the median of rounds {last[0].number} to {last[-1].number}. The reference's column, also"
            f" ours, is that of rounds {first[0].number} to {first[-1].number}. A round ingests, scores, exports and"
            f" imports {NEW_IMAGES} images, in one process. After every {RETRAINING_ROUNDS}th round, a model is trained"
            f" and evaluated. After every {MAINTENANCE_ROUNDS}th, the lake is maintained.",
            details={
                "files in the lake": f"{last[-1].files:,}",
                "files of tables without images": f"{last[-1].table_files:,}",
            },
        )  # fmt: skip


def windows(measured: Sequence[Round]) -> tuple[Sequence[Round], Sequence[Round]]:
    """Return the first warm rounds and the last ones.

    The very first rounds compile code and load classes. Both windows begin after a maintenance if there are enough
    rounds, because the files of the tables grow until the next one.

    Args:
        measured: The rounds, at least 3.
    """
    length = min(MAINTENANCE_ROUNDS, len(measured) // 3)
    return measured[length : 2 * length], measured[-length:]


def plot(measured: Sequence[Round]) -> str:
    """Return the plot of each quantity over the rounds, as SVG.

    Each quantity is divided by its median in the first warm rounds, so that all of them have one axis.
    """
    first, _ = windows(measured)
    numbers = [each.number for each in measured]
    with new_figure() as (figure, axes):
        for name, (title, unit, _) in _QUANTITIES.items():
            values = [float(getattr(each, name)) for each in measured]
            base = float(median(getattr(each, name) for each in first))
            axes.plot(
                numbers, [value / base for value in values], label=f"{title} (1 = {base:,.3g} {unit})", linewidth=1
            )
        axes.set_xlabel("round")
        axes.set_ylim(bottom=0)
        # Above the axes: the lines fill them.
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize=8)
        text = io.StringIO()
        figure.savefig(text, format="svg", bbox_inches="tight", metadata={"Date": None})
    return text.getvalue()

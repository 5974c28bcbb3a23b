"""The demo's scenario: train, score, label, train again."""

import shutil
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from components.errors import InputError
from pipelines.catalogue import PipelineName
from pipelines.demo import people
from pipelines.demo.figures import Figures, prepare_tracking
from pipelines.demo.folder import DemoFolder
from pipelines.demo.summary import Comparison, compare, print_summary, summarize, write_page
from pipelines.local_runner import LocalRun, run_compiled
from pipelines.parameters import convert_parameters
from pipelines.progress import show_progress
from pipelines.samples.digits import make_digits
from pipelines.samples.layout import SampleSummary

# A small network, trained briefly on small images, so that it remains uncertain about some of them.
TRAINING: Mapping[str, Any] = {
    "backbone": "small",
    "image_size": 32,
    "epochs": 6,
    "learning_rate": 0.002,
    "ranks": 2,
}
# All uncertain images go to people. A real installation exports a fraction of thousands.
SCORING: Mapping[str, Any] = {"threshold": 0.95, "fraction": 1.0}


def run_demo(folder: Path, trainer_python: Path, console: Console | None = None) -> dict[str, LocalRun]:
    """Run the whole loop once: train, score, label, train again.

    It is idempotent: a second call finds nothing new to ingest or score.

    Args:
        folder: Folder for everything that the demo writes.
        trainer_python: Python of the trainer environment.
        console: Console to print to; the terminal by default.

    Returns:
        The runs by pipeline.

    Raises:
        InputError: There is no trainer environment.
        RunFailed: A pipeline failed.
    """
    if shutil.which(trainer_python) is None:
        raise InputError(
            f"trainer_python: program '{trainer_python}' not found. Run `make setup`, which makes the trainer"
            " environment."
        )
    return _Demo(DemoFolder(folder.resolve()), trainer_python, console or Console()).run()


class _Demo:
    def __init__(self, folder: DemoFolder, trainer_python: Path, console: Console) -> None:
        self._folder = folder
        self._environment = folder.environment(trainer_python)
        self._console = console
        self._runs: dict[str, LocalRun] = {}

    def run(self) -> dict[str, LocalRun]:
        started = time.monotonic()
        with self._console.status("sample: handwritten digits"), ThreadPoolExecutor(1) as pool:
            prepared = pool.submit(
                prepare_tracking, self._folder.artifacts, self._environment, self._folder.log("demo")
            )
            sample = make_digits(self._folder.sample)
            prepared.result()
        self._print(
            f"Sample: {sample.labeled:,} labeled images in {_short(sample.labeled_folder)}, and {sample.unlabeled:,}"
            f" unlabeled ones, which arrive later, in {_short(sample.unlabeled_folder)}."
        )
        models = [self._train(sample), self._label(sample) if self._score(sample) else None]
        with self._console.status("figures: from the lake and the registry"):
            figures = Figures.read(self._environment, self._folder.log("demo"))
        summary = summarize(figures, self._runs, [model for model in models if model], time.monotonic() - started)
        summary.write(self._folder.summary)
        write_page(summary, self._runs, self._folder)
        self._console.print()
        print_summary(summary, self._console)
        self._print(f"Reports:   {_short(self._folder.page)}")
        self._print(f"Figures:   {_short(self._folder.summary)}")
        self._print(f"Logs:      {_short(self._folder.log('*'))}")
        self._print(f"MLflow UI: {_mlflow_ui(self._folder)}")
        return self._runs

    def _train(self, sample: SampleSummary) -> Comparison | None:
        run = self._run_pipeline(PipelineName.TRAINING, {"source": str(sample.labeled_folder), **TRAINING})
        ingested = run.tasks["ingest-images"].outputs["ingested"]
        if ingested:
            self._print(f"{ingested:,} labeled images were ingested into the lake.")
        else:
            self._print("Nothing to ingest: the lake already has the labeled images.")
        return self._report_model(run)

    def _score(self, sample: SampleSummary) -> bool:
        """Score the new images and export the uncertain ones; return whether people have images to label."""
        run = self._run_pipeline(PipelineName.SCORING, {"source": str(sample.unlabeled_folder), **SCORING})
        ingested = run.tasks["ingest-images"].outputs["ingested"]
        scored = run.tasks["score-images"].outputs["scored"]
        sent = run.tasks["export-for-labeling"].outputs["count"]
        if not ingested:
            self._print("Nothing to ingest: the lake already has the unlabeled images.")
        if scored:
            self._print(
                f"{scored:,} images were scored, and {sent:,} were sent to people: those that the model is uncertain"
                " about, and a few for audit."
            )
        else:
            self._print(f"Nothing to score. {sent:,} images were sent to people.")
        return self._folder.to_label.exists()

    def _label(self, sample: SampleSummary) -> Comparison | None:
        annotated = people.annotate(self._folder.to_label, sample.true_labels, self._folder.labels)
        self._print(
            f"The demo now labels images in place of people: {annotated:,} images get their true labels, from"
            f" {_short(sample.true_labels)}.",
            style="yellow",
        )
        run = self._run_pipeline(PipelineName.LABELING, {"source": str(self._folder.labels), **TRAINING})
        imported = run.tasks["import-labels"].outputs["imported"]
        if imported:
            self._print(f"{imported:,} labels were imported into the lake.")
        else:
            self._print("Nothing to import: the lake already has the labels.")
        return self._report_model(run)

    def _report_model(self, run: LocalRun) -> Comparison | None:
        model = compare(run)
        if model is None:
            self._print("No model was trained: the newest model has already learned all labels.")
        else:
            outcome = "is now the champion" if model.promoted else "is not the champion"
            self._print(f"Model version {model.version} {outcome}: {model.reason}.")
        return model

    def _run_pipeline(self, pipeline: PipelineName, arguments: Mapping[str, Any]) -> LocalRun:
        self._console.print()
        with show_progress(self._console, pipeline) as on_event:
            run = run_compiled(
                pipeline.compiled,
                convert_parameters(pipeline, arguments),
                self._folder.runs,
                self._environment,
                self._folder.log(pipeline),
                on_event,
            )
        self._runs[pipeline] = run
        return run

    def _print(self, sentence: str, style: str = "") -> None:
        self._console.print(Text(sentence, style=style), soft_wrap=True)


def _short(path: Path) -> str:
    """Return a path, relative to the working directory if it is inside."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _mlflow_ui(folder: DemoFolder) -> str:
    # Do not resolve the link: the Python of a virtual environment is a link to the system's.
    program = _short(Path(sys.executable).parent / "mlflow")
    return f"{program} ui --backend-store-uri sqlite:///{_short(folder.root / 'mlflow.db')}"

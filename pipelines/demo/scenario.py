"""What happens in the demo, in order."""

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
from pipelines.demo import people
from pipelines.demo.figures import Figures, prepare_tracking
from pipelines.demo.folder import DemoFolder
from pipelines.demo.summary import Comparison, compare, print_summary, summarise, write_page
from pipelines.generated import COMPILED
from pipelines.local_runner import LocalRun, run_compiled
from pipelines.progress import show_progress
from pipelines.samples.digits import make_digits
from pipelines.samples.layout import SampleSummary

# A small network on small images, trained briefly: it shall leave something to doubt.
TRAINING: Mapping[str, Any] = {
    "backbone": "small",
    "image_size": 32,
    "epochs": 6,
    "learning_rate": 0.002,
    "ranks": 2,
}
# All of the doubtful images go to people: a real installation would send a part of thousands.
SCORING: Mapping[str, Any] = {"threshold": 0.95, "fraction": 1.0}


def run_demo(folder: Path, trainer_python: Path, console: Console | None = None) -> dict[str, LocalRun]:
    """Go once around the loop: train, score, label, train again. A second call finds nothing new to ingest or score.

    Args:
        folder: Where all that the demo makes is kept; made if there is none.
        trainer_python: Python of the trainer environment.
        console: Is told what happens; the terminal if not given.

    Returns:
        The runs by pipeline.

    Raises:
        InputError: There is no trainer environment.
        PipelineFailed: A pipeline failed.
    """
    if shutil.which(trainer_python) is None:
        raise InputError(
            f"trainer_python: no program '{trainer_python}'. Make the trainer environment by `make setup`."
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
        self._say(
            f"Sample: {sample.labelled:,} labelled images in {_short(sample.labelled_folder)}, and"
            f" {sample.unlabelled:,} that arrive later in {_short(sample.unlabelled_folder)}."
        )
        models = [self._train(sample), self._label(sample) if self._score(sample) else None]
        with self._console.status("figures: from the lake and the registry"):
            figures = Figures.read(self._environment, self._folder.log("demo"))
        summary = summarise(figures, self._runs, [model for model in models if model], time.monotonic() - started)
        summary.write(self._folder.summary)
        write_page(summary, self._runs, self._folder)
        self._console.print()
        print_summary(summary, self._console)
        self._say(f"Reports:   {_short(self._folder.page)}")
        self._say(f"Figures:   {_short(self._folder.summary)}")
        self._say(f"Logs:      {_short(self._folder.log('*'))}")
        self._say(f"MLflow UI: {_mlflow_ui(self._folder)}")
        return self._runs

    def _train(self, sample: SampleSummary) -> Comparison | None:
        run = self._run_pipeline("training", {"source": str(sample.labelled_folder), **TRAINING})
        ingested = run.tasks["ingest-images"].outputs["ingested"]
        if ingested:
            self._say(f"{ingested:,} labelled images came into the lake.")
        else:
            self._say("Nothing new to ingest: the labelled images are in the lake already.")
        return self._judged(run)

    def _score(self, sample: SampleSummary) -> bool:
        """Score what arrived and send the doubtful images to people; return whether people have any."""
        run = self._run_pipeline("scoring", {"source": str(sample.unlabelled_folder), **SCORING})
        ingested = run.tasks["ingest-images"].outputs["ingested"]
        scored = run.tasks["score-images"].outputs["scored"]
        sent = run.tasks["export-for-labeling"].outputs["count"]
        if not ingested:
            self._say("Nothing new to ingest: the unlabelled images are in the lake already.")
        if scored:
            self._say(
                f"{scored:,} images were scored; {sent:,} were sent to people: the doubtful ones, and a few to audit."
            )
        else:
            self._say(f"Nothing new to score; {sent:,} images were sent to people.")
        return self._folder.to_label.exists()

    def _label(self, sample: SampleSummary) -> Comparison | None:
        answered = people.answer(self._folder.to_label, sample.answers, self._folder.labels)
        self._say(
            f"The demo now plays the labelling people: it answers for the {answered:,} images that were ever sent with"
            f" their true labels, from {_short(sample.answers)}.",
            style="yellow",
        )
        run = self._run_pipeline("labeling", {"source": str(self._folder.labels), **TRAINING})
        imported = run.tasks["import-labels"].outputs["imported"]
        if imported:
            self._say(f"{imported:,} labels came into the lake.")
        else:
            self._say("Nothing new to import: the labels are in the lake already.")
        return self._judged(run)

    def _judged(self, run: LocalRun) -> Comparison | None:
        model = compare(run)
        if model is None:
            self._say("The newest model has learned all labels: no other one was trained.")
        else:
            outcome = "is the champion now" if model.promoted else "was not promoted"
            self._say(f"Version {model.version} {outcome}: {model.reason}")
        return model

    def _run_pipeline(self, name: str, arguments: Mapping[str, Any]) -> LocalRun:
        self._console.print()
        with show_progress(self._console, name) as on_event:
            run = run_compiled(
                COMPILED / f"{name}.yaml",
                arguments,
                self._folder.runs,
                self._environment,
                self._folder.log(name),
                on_event,
            )
        self._runs[name] = run
        return run

    def _say(self, sentence: str, style: str = "") -> None:
        self._console.print(Text(sentence, style=style), soft_wrap=True)


def _short(path: Path) -> str:
    """Return a path as one would type it here."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _mlflow_ui(folder: DemoFolder) -> str:
    # Not resolved: the environment's python is a link to the system's.
    program = _short(Path(sys.executable).parent / "mlflow")
    return f"{program} ui --backend-store-uri sqlite:///{_short(folder.root / 'mlflow.db')}"

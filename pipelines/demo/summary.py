"""The demo's results: the same figures in the terminal, in `summary.json` and on the page that previews the reports."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import BaseModel
from rich import box
from rich.columns import Columns
from rich.console import Console, RenderableType
from rich.table import Table

from components.report import Card, Report, read_preview
from pipelines.demo.figures import Figures
from pipelines.demo.folder import DemoFolder
from pipelines.local_runner import LocalRun

_PAGE_START = b"<!doctype html>"
_CAPTIONS = {
    "training": "Training pipeline: from labeled images to a model",
    "scoring": "Scoring pipeline: predictions of new images, and uncertain images for people",
    "labeling": "Labeling pipeline: labels from people, and a better model",
}


class Comparison(BaseModel):
    """The evaluation of a new model.

    Attributes:
        version: Version of the new model in the registry.
        accuracy: Accuracy of the new model on the test images, 0..1.
        compared_with: Version of the previous champion; empty if there was none.
        champion_accuracy: Accuracy of the previous champion on the same images, 0..1; None if there was none.
        promoted: Whether the new model became the champion.
        reason: Reason of the decision.
    """

    version: str
    accuracy: float
    compared_with: str
    champion_accuracy: float | None
    promoted: bool
    reason: str


class Summary(BaseModel):
    """The demo's figures.

    Attributes:
        images: Images in the lake.
        labeled_by_folder: Images with a label from their folder.
        quarantined: Files in quarantine.
        scored: Images with a current prediction.
        sent: Images that were sent to people.
        labeled_by_people: Images with a label from people.
        new_images: Images that this demo's pipelines ingested.
        new_scored: Images that this demo's pipelines scored.
        champion: Version of the champion.
        models: Evaluations of the models that this demo trained, in order.
        seconds: Duration of each task in seconds, by pipeline.
        total_seconds: Duration of the demo.
    """

    images: int
    labeled_by_folder: int
    quarantined: int
    scored: int
    sent: int
    labeled_by_people: int
    new_images: int
    new_scored: int
    champion: str
    models: list[Comparison]
    seconds: dict[str, dict[str, float]]
    total_seconds: float

    def write(self, path: Path) -> None:
        """Write the figures as JSON."""
        path.write_text(self.model_dump_json(indent=2) + "\n")


def summarize(figures: Figures, runs: Mapping[str, LocalRun], models: list[Comparison], seconds: float) -> Summary:
    """Return a demo's figures.

    Args:
        figures: Counts in the lake, and models in the registry.
        runs: The runs of this demo, by pipeline.
        models: Evaluations of the models that this demo trained, in order.
        seconds: Duration of the demo.
    """
    ingests = [run.tasks["ingest-images"] for run in runs.values() if "ingest-images" in run.tasks]
    return Summary(
        images=figures.images,
        labeled_by_folder=figures.labeled_by_folder,
        quarantined=figures.quarantined,
        scored=figures.scored,
        sent=figures.sent,
        labeled_by_people=figures.labeled_by_people,
        new_images=sum(int(task.outputs["ingested"]) for task in ingests),
        new_scored=int(runs["scoring"].tasks["score-images"].outputs["scored"]),
        champion=next((model.version for model in figures.models if "champion" in model.aliases), ""),
        models=models,
        seconds={
            pipeline: {name: round(task.seconds, 1) for name, task in run.tasks.items()}
            for pipeline, run in runs.items()
        },
        total_seconds=round(seconds, 1),
    )


def compare(run: LocalRun) -> Comparison | None:
    """Return the evaluation of the model that a run trained, or None if it trained none."""
    if "register-model" not in run.tasks:
        return None
    evaluated, registered = run.tasks["evaluate-classifier"].outputs, run.tasks["register-model"].outputs
    compared_with = str(evaluated["compared_with"])
    return Comparison(
        version=str(registered["version"]),
        accuracy=evaluated["accuracy"],
        compared_with=compared_with,
        champion_accuracy=evaluated["champion_accuracy"] if compared_with else None,
        promoted=registered["promoted"],
        reason=evaluated["reason"],
    )


def print_summary(summary: Summary, console: Console) -> None:
    """Print the figures as two tables, side by side."""
    figures = Table(box=box.SIMPLE_HEAD, show_header=False)
    for name, value in _figures(summary).items():
        figures.add_row(name, value)
    seconds = Table("task", box=box.SIMPLE_HEAD)
    for pipeline in summary.seconds:
        seconds.add_column(f"{pipeline}, s", justify="right")
    for task, *values in _seconds(summary):
        seconds.add_row(str(task), *("" if value is None else f"{value:.1f}" for value in values))
    tables: list[RenderableType] = [figures, seconds]
    console.print(Columns(tables))


def write_page(summary: Summary, runs: Mapping[str, LocalRun], folder: DemoFolder) -> None:
    """Write the page that previews the tasks' reports, and copy the reports beside it.

    Args:
        summary: The figures.
        runs: The runs of this demo, by pipeline.
        folder: The demo's folder.
    """
    page = Report("Demo of the image pipelines", "The whole loop, once, on handwritten digits", _sentence(summary))
    page.figures({name.capitalize(): value for name, value in _figures(summary).items()})
    shutil.rmtree(folder.reports, ignore_errors=True)
    for pipeline, run in runs.items():
        cards = [
            Card(task, str(path.relative_to(folder.root)), read_preview(path.read_text()))
            for task, path in _copy_reports(pipeline, run, folder.reports)
        ]
        page.cards(_CAPTIONS[pipeline], cards)
    page.table(
        "Models",
        ("Version", "Accuracy, %", "Previous champion", "Accuracy of previous champion, %", "Promoted", "Reason"),
        [
            (
                model.version,
                100 * model.accuracy,
                model.compared_with or None,
                None if model.champion_accuracy is None else 100 * model.champion_accuracy,
                model.promoted,
                model.reason,
            )
            for model in summary.models
        ],
    )
    page.table("Duration of each task, s", ("Task", *summary.seconds), _seconds(summary))
    page.write(folder.page)


def _sentence(summary: Summary) -> str:
    models = len(summary.models)
    trained = {0: "no model was trained", 1: "one model was trained"}.get(models, f"{models} models were trained")
    return (
        f"The lake has {summary.images:,} images, {trained}, and version {summary.champion} is the champion. Each card"
        " below is one task's report."
    )


def _figures(summary: Summary) -> dict[str, str]:
    figures = {
        "images": f"{summary.images:,}",
        "labeled by folder": f"{summary.labeled_by_folder:,}",
        "new in this run": f"{summary.new_images:,} ingested, {summary.new_scored:,} scored",
        "quarantined": f"{summary.quarantined:,}",
        "scored": f"{summary.scored:,}",
        "sent to people": f"{summary.sent:,}",
        "labeled by people": f"{summary.labeled_by_people:,}",
    }
    for model in summary.models:
        previous = ""
        if model.champion_accuracy is not None:
            previous = f" (version {model.compared_with}: {model.champion_accuracy:.1%})"
        outcome = "promoted" if model.promoted else "not promoted"
        figures[f"accuracy of version {model.version}"] = f"{model.accuracy:.1%}{previous}, {outcome}"
    figures["champion"] = f"version {summary.champion}"
    figures["total"] = f"{summary.total_seconds:.0f} s"
    return figures


def _seconds(summary: Summary) -> list[tuple[str | float | None, ...]]:
    tasks = list(dict.fromkeys(task for seconds in summary.seconds.values() for task in seconds))
    return [
        (task, *(round(seconds[task], 1) if task in seconds else None for seconds in summary.seconds.values()))
        for task in tasks
    ]


def _copy_reports(pipeline: str, run: LocalRun, to: Path) -> Iterable[tuple[str, Path]]:
    """Copy each task's pages, with the suffix .html, and yield the task and the copy."""
    to.mkdir(parents=True, exist_ok=True)
    for task, finished in run.tasks.items():
        for artifact in sorted(path for path in finished.folder.glob("*") if path.is_file()):
            with artifact.open("rb") as file:
                is_page = file.read(len(_PAGE_START)) == _PAGE_START
            if is_page:
                yield task, Path(shutil.copyfile(artifact, to / f"{pipeline}-{task}.html"))

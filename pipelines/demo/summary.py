"""What the demo ends with: the same figures in a table, in `summary.json` and in the page that links the reports."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import BaseModel
from rich import box
from rich.columns import Columns
from rich.console import Console, RenderableType
from rich.table import Table

from components.report import Report
from pipelines.demo.figures import Figures
from pipelines.demo.folder import DemoFolder
from pipelines.local_runner import LocalRun

_PAGE_START = b"<!doctype html>"


class Comparison(BaseModel):
    """What evaluate_classifier said of a new model.

    Attributes:
        version: The new model's version in the registry.
        accuracy: The new model's accuracy on the test images, 0..1.
        compared_with: The champion's version by then; empty if there was none.
        champion_accuracy: The champion's accuracy on the same images, 0..1; None if there was none.
        promoted: Whether the new model became the champion.
        reason: Why, or why not.
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
        labelled_by_folder: Of those, with a label from their folder.
        quarantined: Files in quarantine.
        scored: Images with a prediction.
        sent: Images that were sent to people.
        labelled_by_people: Images with a label from people.
        new_images: Images that this demo's pipelines ingested.
        new_scored: Images that this demo's pipelines scored.
        champion: Version of the champion.
        models: What was said of each model that this demo trained, in order.
        seconds: How long each task took, by pipeline.
        total_seconds: How long the demo took.
    """

    images: int
    labelled_by_folder: int
    quarantined: int
    scored: int
    sent: int
    labelled_by_people: int
    new_images: int
    new_scored: int
    champion: str
    models: list[Comparison]
    seconds: dict[str, dict[str, float]]
    total_seconds: float

    def write(self, path: Path) -> None:
        """Write the figures as JSON."""
        path.write_text(self.model_dump_json(indent=2) + "\n")


def summarise(figures: Figures, runs: Mapping[str, LocalRun], models: list[Comparison], seconds: float) -> Summary:
    """Return a demo's figures.

    Args:
        figures: What the lake and the registry hold.
        runs: The runs of this demo, by pipeline.
        models: What was said of each model that this demo trained, in order.
        seconds: How long the demo took.
    """
    ingests = [run.tasks["ingest-images"] for run in runs.values() if "ingest-images" in run.tasks]
    return Summary(
        images=figures.images,
        labelled_by_folder=figures.labelled_by_folder,
        quarantined=figures.quarantined,
        scored=figures.scored,
        sent=figures.sent,
        labelled_by_people=figures.labelled_by_people,
        new_images=sum(int(task.outputs["ingested"]) for task in ingests),
        new_scored=int(runs["scoring"].tasks["score-images"].outputs["scored"]),
        champion=next((each.version for each in figures.models if "champion" in each.aliases), ""),
        models=models,
        seconds={
            pipeline: {name: round(task.seconds, 1) for name, task in run.tasks.items()}
            for pipeline, run in runs.items()
        },
        total_seconds=round(seconds, 1),
    )


def compare(run: LocalRun) -> Comparison | None:
    """Return what a run said of the model that it trained, or None if it trained none."""
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
    """Print the figures as two short tables, side by side."""
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
    """Write the page that links the reports of the runs' tasks, and copy them beside it.

    Args:
        summary: The figures.
        runs: The runs of this demo, by pipeline.
        folder: Where to.
    """
    page = Report("Image pipelines: the demo", "Once around the loop on handwritten digits")
    page.figures(_figures(summary))
    page.table(
        "Models",
        ("version", "accuracy, %", "champion by then", "its accuracy, %", "promoted", "reason"),
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
    shutil.rmtree(folder.reports, ignore_errors=True)
    for pipeline, run in runs.items():
        links = [
            (task, str(path.relative_to(folder.root))) for task, path in _copy_reports(pipeline, run, folder.reports)
        ]
        page.links(f"Reports of the {pipeline} pipeline", links)
    page.table("Seconds per task", ("task", *summary.seconds), _seconds(summary))
    page.write(folder.page)


def _figures(summary: Summary) -> dict[str, str]:
    figures = {
        "images": f"{summary.images:,}",
        "labelled by their folder": f"{summary.labelled_by_folder:,}",
        "new in this run": f"{summary.new_images:,} ingested, {summary.new_scored:,} scored",
        "quarantined": f"{summary.quarantined:,}",
        "scored": f"{summary.scored:,}",
        "sent to people": f"{summary.sent:,}",
        "labelled by people": f"{summary.labelled_by_people:,}",
    }
    for model in summary.models:
        against = ""
        if model.champion_accuracy is not None:
            against = f", version {model.compared_with} has {model.champion_accuracy:.1%}"
        outcome = "promoted" if model.promoted else "not promoted"
        figures[f"accuracy of version {model.version}"] = f"{model.accuracy:.1%}{against}: {outcome}"
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
    """Copy each task's pages, with a suffix that browsers know, and yield the task and the copy."""
    to.mkdir(parents=True, exist_ok=True)
    for task, done in run.tasks.items():
        for artifact in sorted(path for path in done.folder.glob("*") if path.is_file()):
            with artifact.open("rb") as file:
                is_page = file.read(len(_PAGE_START)) == _PAGE_START
            if is_page:
                yield task, Path(shutil.copyfile(artifact, to / f"{pipeline}-{task}.html"))

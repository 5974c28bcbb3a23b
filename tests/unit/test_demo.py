"""`pipelines.demo` and `pipelines.progress`, without running a pipeline."""

import csv
import io
import json
import re
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from components.errors import InputError
from pipelines.cli import app
from pipelines.demo import people, run_demo
from pipelines.demo.folder import DemoFolder
from pipelines.demo.summary import Comparison, Summary, write_page
from pipelines.local_runner import Event, FinishedTask, LocalRun
from pipelines.progress import show_progress
from pipelines.samples.digits import make_digits
from tests.support.report_samples import SCALES, Scale, write_reports


def test_people_give_each_exported_image_its_true_label(tmp_path: Path) -> None:
    sample = make_digits(tmp_path / "sample")
    truth = {row["path"]: row["label"] for row in csv.DictReader(io.StringIO(sample.true_labels.read_text()))}
    sent = list(truth)[:3]
    for batch, paths in (("b1", sent[:2]), ("b2", sent[2:])):
        manifest = tmp_path / "to_label" / batch / "manifest.jsonl"
        manifest.parent.mkdir(parents=True)
        lines = [json.dumps({"path": f"file:///anywhere/{path}", "predicted_label": 1}) for path in paths]
        manifest.write_text("\n".join(lines) + "\n")

    annotated = people.annotate(tmp_path / "to_label", sample.true_labels, tmp_path / "labels.csv")

    given = list(csv.DictReader(io.StringIO((tmp_path / "labels.csv").read_text())))
    assert annotated == 3
    assert {row["path"]: row["label"] for row in given} == {f"file:///anywhere/{path}": truth[path] for path in sent}


PIPELINES = {
    "training": ("ingest_images", "build_training_set", "train_classifier", "evaluate_classifier"),
    "scoring": ("ingest_images", "score_images", "export_for_labeling"),
    "labeling": ("import_labels", "build_training_set", "train_classifier", "evaluate_classifier"),
}


def write_index(folder: DemoFolder, scale: Scale) -> str:
    """Write the demo's page for runs with reports of a given scale, and return its text."""
    reports = write_reports(folder.root / "written", scale)
    runs = {}
    for pipeline, steps in PIPELINES.items():
        tasks = {}
        for step in steps:
            task = folder.root / "runs" / pipeline / step
            task.mkdir(parents=True)
            (task / "report").write_bytes(reports[step].read_bytes())
            tasks[step.replace("_", "-")] = FinishedTask(1.0, {}, task)
        runs[pipeline] = LocalRun(folder.root / "runs" / pipeline, tasks)
    model = Comparison(
        version="2", accuracy=0.97, compared_with="1", champion_accuracy=0.94, promoted=True, reason="it is better"
    )
    summary = Summary(
        images=1797,
        labeled_by_folder=1612,
        quarantined=0,
        scored=185,
        sent=91,
        labeled_by_people=91,
        new_images=1797,
        new_scored=185,
        champion="2",
        models=[model],
        seconds={pipeline: {"ingest-images": 1.0} for pipeline in PIPELINES},
        total_seconds=90,
    )
    write_page(summary, runs, folder)
    return folder.page.read_text()


@pytest.mark.parametrize("name", SCALES)
def test_index_previews_each_report_by_a_sentence_and_a_picture(name: str, tmp_path: Path) -> None:
    folder = DemoFolder(tmp_path)

    page = write_index(folder, SCALES[name])

    cards = re.findall(r'<a href="([^"]+)">(.*?)</a>', page, re.DOTALL)
    assert [address for address, _ in cards] == [
        f"reports/{pipeline}-{step.replace('_', '-')}.html" for pipeline, steps in PIPELINES.items() for step in steps
    ]
    for address, card in cards:
        assert (folder.root / address).is_file()
        assert re.search(r"<p>\w[^<]+\.</p>", card), address
        # The report of a run without new images has no pictures.
        assert '<img src="data:image/' in card or name == "few", address
    assert len(page.encode()) < 2_000_000
    assert re.findall(r'src="(?!data:)', page) == []


def test_missing_trainer_environment_is_an_error_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^trainer_python: program '.*nowhere/python' not found.* `make setup`"):
        run_demo(tmp_path / "demo", tmp_path / "nowhere" / "python")

    assert not (tmp_path / "demo").exists()


def test_command_names_the_folder_and_the_trainer_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    monkeypatch.setattr("pipelines.cli.demo.trainer_python", lambda: python)

    without = CliRunner().invoke(app, ["demo", "--folder", str(tmp_path / "demo")])

    assert str(without.exception).startswith(f"trainer_python: program '{python}' not found")
    python.symlink_to(sys.executable)
    (tmp_path / "demo").write_text("a file where the demo's folder is to be")
    with_it = CliRunner().invoke(app, ["demo", "--folder", str(tmp_path / "demo")])
    assert str(with_it.exception).startswith(f"to: can't write to '{tmp_path}/demo/sample' (Not a directory)")


def test_finished_task_has_one_line_with_its_latest_progress() -> None:
    text = io.StringIO()
    with show_progress(Console(file=text, width=100), "training") as on_event:
        on_event(Event("task_started", "ingest-images", ""))
        on_event(Event("line", "ingest-images", "26/07/01 WARN NativeCodeLoader: noise"))
        on_event(Event("line", "ingest-images", "[KFP Executor INFO] progress: 512 images"))
        on_event(Event("line", "ingest-images", "[0]<stdout>:progress: 1,612 images"))
        on_event(Event("task_finished", "ingest-images", "SUCCESS", 12.34))
        on_event(Event("task_started", "train-classifier", ""))
        on_event(Event("task_finished", "train-classifier", "FAILURE", 3.0))

    lines = [line.split() for line in text.getvalue().splitlines()]
    assert lines == [
        ["✓", "training", "ingest-images", "12.3", "s", "1,612", "images"],
        ["✗", "training", "train-classifier", "3.0", "s"],
    ]


def test_log_names_the_active_task_regularly() -> None:
    text = io.StringIO()
    with show_progress(Console(file=text, width=100), "training", reminder_seconds=0.2) as on_event:
        on_event(Event("task_started", "train-classifier", ""))
        on_event(Event("line", "train-classifier", "progress: epoch 2/6"))
        time.sleep(0.7)
        shown = [line.split() for line in text.getvalue().splitlines()]

    assert len(shown) in (2, 3)
    assert shown[0] == ["…", "training", "train-classifier", "0", "s", "epoch", "2/6"]


def test_terminal_counts_the_seconds_of_the_active_task() -> None:
    text = io.StringIO()
    console = Console(file=text, width=60, force_terminal=True, _environ={"TERM": "xterm"})
    with show_progress(console, "training") as on_event:
        on_event(Event("task_started", "train-classifier", ""))
        on_event(Event("line", "train-classifier", "progress: epoch 2/6 " + "x" * 100))
        time.sleep(1.3)

    lines = {" ".join(line.split()) for line in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text.getvalue()).split("\r")}
    assert any(re.search(r"training train-classifier 0 s epoch 2/6 x+…$", line) for line in lines)
    assert any("training train-classifier 1 s epoch 2/6" in line for line in lines)

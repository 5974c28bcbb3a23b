"""The promises of `pipelines.demo` that need no pipeline."""

import csv
import io
import json
import sys
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from components.errors import InputError
from pipelines.cli import app
from pipelines.demo import people, run_demo
from pipelines.local_runner import Event
from pipelines.progress import show_progress
from pipelines.samples.digits import make_digits


def test_people_answer_for_every_image_that_was_sent_with_its_true_label(tmp_path: Path) -> None:
    sample = make_digits(tmp_path / "sample")
    truth = {row["path"]: row["label"] for row in csv.DictReader(io.StringIO(sample.answers.read_text()))}
    sent = list(truth)[:3]
    for batch, paths in (("b1", sent[:2]), ("b2", sent[2:])):
        manifest = tmp_path / "to_label" / batch / "manifest.jsonl"
        manifest.parent.mkdir(parents=True)
        lines = [json.dumps({"path": f"file:///anywhere/{path}", "predicted_label": 1}) for path in paths]
        manifest.write_text("\n".join(lines) + "\n")

    answered = people.answer(tmp_path / "to_label", sample.answers, tmp_path / "labels.csv")

    given = list(csv.DictReader(io.StringIO((tmp_path / "labels.csv").read_text())))
    assert answered == 3
    assert {row["path"]: row["label"] for row in given} == {f"file:///anywhere/{path}": truth[path] for path in sent}


def test_a_missing_trainer_environment_is_told_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^trainer_python: no program '.*nowhere/python'.* `make setup`"):
        run_demo(tmp_path / "demo", tmp_path / "nowhere" / "python")

    assert not (tmp_path / "demo").exists()


def test_the_command_names_the_folder_and_the_trainer_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    monkeypatch.setattr("pipelines.cli.trainer_python", lambda: python)

    without = CliRunner().invoke(app, ["demo", "--folder", str(tmp_path / "demo")])

    assert str(without.exception).startswith(f"trainer_python: no program '{python}'")
    python.symlink_to(sys.executable)
    (tmp_path / "demo").write_text("a file where the demo's folder is to be")
    with_it = CliRunner().invoke(app, ["demo", "--folder", str(tmp_path / "demo")])
    assert str(with_it.exception).startswith(f"to: can't write to '{tmp_path}/demo/sample' (Not a directory)")


def test_each_finished_task_is_told_in_one_line_with_the_last_it_said() -> None:
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

"""The demo: the three compiled pipelines with kfp.local, and what they leave in the lake and in the registry."""

import csv
import hashlib
import io
import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient
from pyspark.sql import DataFrame, Row, SparkSession
from rich.console import Console

from components.lake import TABLES, Lake
from components.lake.tables import FILES, IMAGE, IMAGES, LABELING_REQUESTS, LABELS, PREDICTIONS, Table
from components.registry.champion import PROMOTED
from components.registry.model_registry import ModelRegistry
from components.registry.tags import (
    COMPARED_WITH_TAG,
    DECISION_TAG,
    REASON_TAG,
    TRAINING_SET_ID_TAG,
    TRAINING_SET_URI_TAG,
)
from components.settings import Settings
from components.storage import uri
from components.storage.files import Files
from components.training_set.manifest import MEMBERS, TrainingSet
from pipelines.catalogue import COMPILED
from pipelines.demo import run_demo, scenario
from pipelines.demo.folder import DemoFolder
from pipelines.demo.scenario import SCORING, TRAINING
from pipelines.demo.summary import Summary
from pipelines.errors import RunFailed
from pipelines.local_runner import LocalRun, run_compiled
from pipelines.parameters import convert_parameters
from pipelines.samples.digits import make_digits
from pipelines.samples.layout import SampleSummary
from tests.support.browser import Browser
from tests.support.paths import TRAINER_PYTHON

# The demo is the set-up of the first test, and takes a quarter of an hour on a slow and busy machine.
pytestmark = pytest.mark.timeout(2400)

# Java prints the first line because of an option that Spark always sets. TensorFlow prints the second line before it
# reads its log level.
_INEVITABLE = re.compile(r"WARNING: (Using incubator modules: jdk\.incubator\.vector|All log messages before absl::)")


@dataclass
class Loop:
    """An installation in a folder, the runs in it, and the output of the demo."""

    places: DemoFolder
    sample: SampleSummary
    lake: Lake
    registry: ModelRegistry
    runs: Mapping[str, LocalRun]
    said: str
    logs: Mapping[str, str]

    def run(self, pipeline: str, arguments: Mapping[str, Any], **environment: str) -> LocalRun:
        environment |= self.places.environment(TRAINER_PYTHON)
        log = self.places.log(pipeline)
        return run_compiled(
            COMPILED / f"{pipeline}.yaml", convert_parameters(pipeline, arguments), self.places.runs, environment, log
        )

    def rows(self, table: Table) -> list[Row]:
        rows: list[Row] = self.lake.read(table).drop("content").collect()
        assert len(rows) == len({tuple(row[name] for name in table.key) for row in rows})
        return rows

    def versions(self) -> dict[str, int]:
        return {table.name: self.lake.version(table) for table in TABLES}

    def models(self) -> dict[str, tuple[str, ...]]:
        """Return aliases and tags of each version."""
        client = MlflowClient(self.places.tracking_uri)
        name = self.registry.model_name
        found = [client.get_model_version(name, each.version) for each in client.search_model_versions("")]
        return {each.version: (*sorted(each.aliases), *map(str, sorted(each.tags.items()))) for each in found}

    def contents(self) -> dict[str, int]:
        """Return a hash of all rows of each table, whatever their order."""
        return {table.name: _hash(self.lake.read(table)) for table in TABLES}


def _hash(rows: DataFrame) -> int:
    return hash(frozenset(Counter(str(row) for row in rows.drop("content").collect()).items()))


@pytest.fixture(scope="module")
def loop(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Loop:
    """Run the loop once: train, score, label and train again."""
    places = DemoFolder(tmp_path_factory.mktemp("a löop"))
    said = io.StringIO()
    runs = run_demo(places.root, TRAINER_PYTHON, Console(file=said, width=160))
    registry = ModelRegistry(places.tracking_uri, Settings.load().model_name)
    logs = {pipeline: places.log(pipeline).read_text() for pipeline in runs}
    return Loop(
        places, make_digits(places.sample), Lake(spark, str(places.lake)), registry, runs, said.getvalue(), logs
    )


def landed(loop: Loop) -> dict[str, tuple[str, int | None]]:
    """Return hash and label of each image file, by its path as the lake spells it."""
    return {
        f"file:{path}": (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            int(path.parent.name[:3]) if folder == loop.sample.labeled_folder else None,
        )
        for folder in (loop.sample.labeled_folder, loop.sample.unlabeled_folder)
        for path in folder.rglob("*.jpg")
    }


def test_each_image_is_in_the_lake_once(loop: Loop) -> None:
    rows = loop.rows(FILES)
    stored = {row["path"]: (row["content_sha256"], row["folder_label"]) for row in rows if row["state"] == IMAGE}
    contents = [row["path"] for row in loop.lake.read(IMAGES).select("path").collect()]

    assert stored == landed(loop)
    assert len(rows) == len(stored)
    assert sorted(contents) == sorted(stored)


def test_predictions_match_the_saved_model(loop: Loop) -> None:
    predictions = loop.rows(PREDICTIONS)
    version = loop.registry.version(predictions[0]["model_version"])
    classifier = loop.registry.load(version.model_uri, version.digest)

    said = classifier.predict([Path(row["path"].removeprefix("file:")).read_bytes() for row in predictions])

    assert {row["path"] for row in predictions} == {path for path, (_, label) in landed(loop).items() if label is None}
    assert {row["model_version"] for row in predictions} == {version.version}
    assert [row["predicted_label"] for row in predictions] == [each.label for each in said]
    assert [row["predicted_score"] for row in predictions] == pytest.approx([each.score for each in said], abs=1e-5)


def test_prediction_leads_to_the_training_images_of_its_model(loop: Loop) -> None:
    version = loop.registry.version(loop.rows(PREDICTIONS)[0]["model_version"])
    training_set = TrainingSet.read(version.tags[TRAINING_SET_URI_TAG], Files())
    run = MlflowClient(loop.places.tracking_uri).get_run(version.run_id)
    members = pq.read_table(Path(training_set.uri.removeprefix("file://"), MEMBERS)).to_pylist()

    assert run.data.tags["training_set.id"] == version.tags[TRAINING_SET_ID_TAG] == training_set.id
    assert {row["path"]: (row["content_sha256"], row["label"]) for row in members} == {
        path: image for path, image in landed(loop).items() if image[1] is not None
    }


def test_uncertain_images_were_exported_and_got_their_labels(loop: Loop) -> None:
    with loop.sample.true_labels.open(newline="") as file:
        true = {f"file:{loop.places.sample / row['path']}": int(row["label"]) for row in csv.DictReader(file)}
    scores = {row["path"]: row["predicted_score"] for row in loop.rows(PREDICTIONS)}
    requests = loop.rows(LABELING_REQUESTS)
    sent = {row["path"] for row in requests}
    uncertain = {path for path, score in scores.items() if score < SCORING["threshold"]}

    assert uncertain
    assert len(requests) == len(sent) < len(scores)
    assert uncertain <= sent
    assert {row["path"] for row in requests if row["reason"] == "uncertain"} <= uncertain
    assert {row["outcome"] for row in requests} == {"labeled"}
    assert {row["path"]: row["label"] for row in loop.rows(LABELS)} == {path: true[path] for path in sent}


def test_second_model_learned_new_labels_and_is_champion_only_if_better(loop: Loop) -> None:
    first, second = loop.registry.version("1"), loop.registry.version("2")
    champion, challenger = loop.registry.champion(), loop.registry.challenger()
    members = pq.read_table(Path(second.tags[TRAINING_SET_URI_TAG].removeprefix("file://"), MEMBERS)).to_pylist()
    evaluated = loop.runs["labeling"].tasks["evaluate-classifier"].outputs

    assert {row["path"] for row in members if row["label_source"] == "file"} == {
        row["path"] for row in loop.rows(LABELS)
    }
    assert first.tags[DECISION_TAG] == PROMOTED
    assert second.tags[COMPARED_WITH_TAG] == evaluated["compared_with"] == "1"
    better = evaluated["promote"]
    assert evaluated["accuracy"] > evaluated["champion_accuracy"] or not better
    assert (second.tags[DECISION_TAG] == PROMOTED) is better
    assert second.tags[REASON_TAG] == evaluated["reason"]
    assert champion is not None
    assert challenger is not None
    assert champion.version == ("2" if better else "1")
    assert challenger.version == "2"


def test_every_task_wrote_its_report(loop: Loop) -> None:
    reports = {
        (pipeline, task): (run.folder / "report").read_text()
        for pipeline, ran in loop.runs.items()
        for task, run in ran.tasks.items()
        if task not in {"check-parameters", "register-model", "notify"}
    }

    assert len(reports) == 4 + 3 + 4
    assert all(page.startswith("<!doctype html>") for page in reports.values())


@pytest.mark.parametrize("pipeline", ["training", "scoring", "labeling"])
def test_successful_run_logs_no_warning_and_no_stack_trace(loop: Loop, pipeline: str) -> None:
    trouble = re.compile(r"WARN|Warning:|ERROR|Traceback|Exception|^\s+at [\w.$]+\(|<std(out|err)>")

    lines = [line for line in loop.logs[pipeline].splitlines() if trouble.search(line) and not _INEVITABLE.search(line)]

    assert "Executing task" in loop.logs[pipeline]
    assert lines == []


def test_demo_shows_the_figures_of_the_lake_and_previews_all_reports(loop: Loop, browser: Browser) -> None:
    summary = Summary.model_validate_json(loop.places.summary.read_bytes())

    assert summary.images == summary.new_images == len(landed(loop))
    assert summary.scored == summary.new_scored == len(loop.rows(PREDICTIONS))
    assert summary.sent == summary.labeled_by_people == len(loop.rows(LABELS))
    assert [model.version for model in summary.models] == ["1", "2"]
    assert f"{summary.models[1].accuracy:.1%}" in loop.said
    cards = re.findall(r'<a href="([^"]+)">(.*?)</a>', loop.places.page.read_text(), re.DOTALL)
    assert len(cards) == 4 + 3 + 4
    assert [link for link, card in cards if "<img " not in card or not re.search(r"<p>.+</p>", card)] == []
    links = [link for link, _ in cards]
    assert browser.visit(loop.places.page, 390).width == 390
    visits = [browser.visit(page) for page in (loop.places.page, *(loop.places.root / link for link in links))]
    assert all(visit.complaints == visit.requests == [] for visit in visits)
    assert all(image.alt and image.width for visit in visits for image in visit.images)


@pytest.mark.slow
def test_second_demo_changes_nothing(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    before = loop.contents(), loop.versions(), loop.models()
    training = loop.runs["training"]
    ingest = training.tasks["ingest-images"]
    nothing_ingested = replace(ingest, outputs={**ingest.outputs, "found": 0, "ingested": 0})
    repeated_training = replace(training, tasks=training.tasks | {"ingest-images": nothing_ingested})

    def run_unless_training(pipeline: Path, *arguments: Any) -> LocalRun:
        # Each step of a repeated training has a test of its own, and the steps together take a minute.
        return repeated_training if pipeline.stem == "training" else run_compiled(pipeline, *arguments)

    monkeypatch.setattr(scenario, "run_compiled", run_unless_training)
    said = io.StringIO()
    runs = run_demo(loop.places.root, TRAINER_PYTHON, Console(file=said, width=160))

    assert (loop.contents(), loop.versions(), loop.models()) == before
    assert runs["scoring"].tasks["ingest-images"].outputs["found"] == 0
    assert runs["scoring"].tasks["score-images"].outputs["scored"] == 0
    assert runs["scoring"].tasks["export-for-labeling"].outputs["count"] == 0
    assert runs["labeling"].tasks["import-labels"].outputs["imported"] == 0
    summary = Summary.model_validate_json(loop.places.summary.read_bytes())
    assert (summary.new_images, summary.new_scored) == (0, 0)
    assert "Nothing to import: the lake already has the labels." in said.getvalue()
    log = loop.places.log("scoring").read_text()
    assert "No new image was found in" in log[log.rindex("Executing task") :]


def test_run_that_waits_too_long_for_a_lock_names_its_holder(loop: Loop) -> None:
    source = uri.normalize(str(loop.sample.labeled_folder), "source")

    with (
        loop.lake.writer(f"ingest-{uri.digest(source)}"),
        pytest.raises(RunFailed, match=rf"task 'ingest-images' failed\. 'ingest-.* locked by process {os.getpid()} "),
    ):
        loop.run("training", {"source": source, **TRAINING}, IMAGE_PIPELINES_LOCK_TIMEOUT_SECONDS="1")


def test_failed_task_is_named_with_its_error_and_notify_runs(loop: Loop, tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match=r"task 'ingest-images' failed\. source: folder '/.*nowhere' not found"):
        loop.run("training", {"source": str(tmp_path / "nowhere"), **TRAINING})

    log = loop.places.log("training").read_text()
    assert "Executing task" in log[log.rindex("source: folder") :]

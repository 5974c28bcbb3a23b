"""The demo: the three compiled pipelines with kfp.local, and what they leave in the lake and in the registry."""

import csv
import hashlib
import io
import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient
from pyspark.sql import DataFrame, Row, SparkSession
from rich.console import Console

from components.build_training_set.training_set import MEMBERS, TrainingSet
from components.lake import TABLES, Lake
from components.lake.tables import IMAGES, LABELING_REQUESTS, LABELS, PREDICTIONS, QUARANTINE, Table
from components.register_model.champion import PROMOTED
from components.register_model.registry import (
    COMPARED_WITH_TAG,
    DECISION_TAG,
    REASON_TAG,
    TRAINING_SET_ID_TAG,
    TRAINING_SET_URI_TAG,
    ModelRegistry,
)
from components.settings import Settings
from components.storage import uri
from pipelines.demo import run_demo
from pipelines.demo.folder import DemoFolder
from pipelines.demo.scenario import SCORING, TRAINING
from pipelines.demo.summary import Summary
from pipelines.generated import COMPILED
from pipelines.local_runner import LocalRun, PipelineFailed, run_compiled
from pipelines.samples.digits import make_digits
from pipelines.samples.layout import SampleSummary
from tests.browser import Browser
from tests.conftest import TRAINER_PYTHON


@dataclass
class Loop:
    """An installation in a folder, what ran in it, and what the demo said."""

    places: DemoFolder
    sample: SampleSummary
    lake: Lake
    registry: ModelRegistry
    runs: Mapping[str, LocalRun]
    said: str

    def run(self, pipeline: str, arguments: Mapping[str, Any], **environment: str) -> LocalRun:
        environment |= self.places.environment(TRAINER_PYTHON)
        log = self.places.log(pipeline)
        return run_compiled(COMPILED / f"{pipeline}.yaml", arguments, self.places.runs, environment, log)

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
    """Once around: train, score, label and train again."""
    places = DemoFolder(tmp_path_factory.mktemp("a löop"))
    said = io.StringIO()
    runs = run_demo(places.root, TRAINER_PYTHON, Console(file=said, width=160))
    registry = ModelRegistry(places.tracking_uri, Settings.load().model_name)
    return Loop(places, make_digits(places.sample), Lake(spark, str(places.lake)), registry, runs, said.getvalue())


def landed(loop: Loop) -> dict[str, tuple[str, int | None]]:
    """Return hash and label of each image file, by its path as the lake spells it."""
    return {
        f"file:{path}": (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            int(path.parent.name[:3]) if folder == loop.sample.labelled_folder else None,
        )
        for folder in (loop.sample.labelled_folder, loop.sample.unlabelled_folder)
        for path in folder.rglob("*.jpg")
    }


def test_each_image_is_in_the_lake_once(loop: Loop) -> None:
    stored = {row["path"]: (row["content_sha256"], row["label"]) for row in loop.rows(IMAGES)}

    assert stored == landed(loop)
    assert loop.rows(QUARANTINE) == []


def test_predictions_are_what_the_saved_model_says(loop: Loop) -> None:
    predictions = loop.rows(PREDICTIONS)
    version = loop.registry.version(predictions[0]["model_version"])
    classifier = loop.registry.load(version.model_uri, version.digest)

    said = classifier.predict([Path(row["path"].removeprefix("file:")).read_bytes() for row in predictions])

    assert {row["path"] for row in predictions} == {path for path, (_, label) in landed(loop).items() if label is None}
    assert {row["model_version"] for row in predictions} == {version.version}
    assert [row["predicted_label"] for row in predictions] == [each.label for each in said]
    assert [row["predicted_score"] for row in predictions] == pytest.approx([each.score for each in said], abs=1e-5)


def test_a_prediction_leads_to_the_images_that_its_model_saw(loop: Loop) -> None:
    version = loop.registry.version(loop.rows(PREDICTIONS)[0]["model_version"])
    training_set = TrainingSet.read(version.tags[TRAINING_SET_URI_TAG])
    run = MlflowClient(loop.places.tracking_uri).get_run(version.run_id)
    members = pq.read_table(Path(training_set.uri.removeprefix("file://"), MEMBERS)).to_pylist()

    assert run.data.tags["training_set.id"] == version.tags[TRAINING_SET_ID_TAG] == training_set.id
    assert {row["path"]: (row["content_sha256"], row["label"]) for row in members} == {
        path: told for path, told in landed(loop).items() if told[1] is not None
    }


def test_doubtful_images_went_to_people_and_came_back_with_their_labels(loop: Loop) -> None:
    with loop.sample.answers.open(newline="") as file:
        true = {f"file:{loop.places.sample / row['path']}": int(row["label"]) for row in csv.DictReader(file)}
    scores = {row["path"]: row["predicted_score"] for row in loop.rows(PREDICTIONS)}
    requests = loop.rows(LABELING_REQUESTS)
    sent = {row["path"] for row in requests}
    doubtful = {path for path, score in scores.items() if score < SCORING["threshold"]}

    assert doubtful
    assert len(requests) == len(sent) < len(scores)
    assert doubtful <= sent
    assert {row["path"] for row in requests if row["reason"] == "doubtful"} <= doubtful
    assert {row["outcome"] for row in requests} == {"labelled"}
    assert {row["path"]: row["label"] for row in loop.rows(LABELS)} == {path: true[path] for path in sent}


def test_the_second_model_learned_from_people_and_is_the_champion_only_if_it_is_better(loop: Loop) -> None:
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


def test_each_task_of_each_pipeline_left_its_report(loop: Loop) -> None:
    reports = {
        (pipeline, task): (run.folder / "report").read_text()
        for pipeline, ran in loop.runs.items()
        for task, run in ran.tasks.items()
        if task not in {"register-model", "notify"}
    }

    assert len(reports) == 4 + 3 + 4
    assert all(page.startswith("<!doctype html>") for page in reports.values())


def test_the_demo_ends_with_the_figures_of_the_lake_and_a_page_that_links_all_reports(
    loop: Loop, browser: Browser
) -> None:
    summary = Summary.model_validate_json(loop.places.summary.read_bytes())

    assert summary.images == summary.new_images == len(landed(loop))
    assert summary.scored == summary.new_scored == len(loop.rows(PREDICTIONS))
    assert summary.sent == summary.labelled_by_people == len(loop.rows(LABELS))
    assert [model.version for model in summary.models] == ["1", "2"]
    assert f"{summary.models[1].accuracy:.1%}" in loop.said
    links = re.findall(r'href="([^"]+)"', loop.places.page.read_text())
    assert len(links) == 4 + 3 + 4
    visits = [browser.visit(page) for page in (loop.places.page, *(loop.places.root / link for link in links))]
    assert all(visit.complaints == visit.requests == [] for visit in visits)
    assert all(image.alt and image.width for visit in visits for image in visit.images)


def test_a_second_demo_finds_nothing_new_and_changes_nothing(loop: Loop) -> None:
    before = loop.contents(), loop.versions(), loop.models()

    said = io.StringIO()
    runs = run_demo(loop.places.root, TRAINER_PYTHON, Console(file=said, width=160))

    assert (loop.contents(), loop.versions(), loop.models()) == before
    assert runs["training"].tasks["ingest-images"].outputs["found"] == 0
    assert runs["scoring"].tasks["ingest-images"].outputs["found"] == 0
    assert runs["scoring"].tasks["score-images"].outputs["scored"] == 0
    assert runs["scoring"].tasks["export-for-labeling"].outputs["count"] == 0
    assert runs["labeling"].tasks["import-labels"].outputs["imported"] == 0
    summary = Summary.model_validate_json(loop.places.summary.read_bytes())
    assert (summary.new_images, summary.new_scored) == (0, 0)
    assert "Nothing new to import: the labels are in the lake already." in said.getvalue()
    log = loop.places.log("scoring").read_text()
    assert "No new image was found in" in log[log.rindex("Executing task") :]


def test_a_run_that_has_to_wait_too_long_for_another_names_who_holds_the_lock(loop: Loop) -> None:
    source = uri.normalize(str(loop.sample.labelled_folder), "source")

    with (
        loop.lake.writer(f"ingest-{uri.digest(source)}"),
        pytest.raises(
            PipelineFailed, match=rf"task 'ingest-images' failed\. 'ingest-.* held by process {os.getpid()} "
        ),
    ):
        loop.run("training", {"source": source, **TRAINING}, IMAGE_PIPELINES_LOCK_TIMEOUT_SECONDS="1")


def test_a_failed_task_is_named_with_its_sentence_and_notify_runs(loop: Loop, tmp_path: Path) -> None:
    with pytest.raises(PipelineFailed, match=r"task 'ingest-images' failed\. source: no folder 'file://.*nowhere'"):
        loop.run("training", {"source": str(tmp_path / "nowhere"), **TRAINING})

    log = loop.places.log("training").read_text()
    assert "Executing task" in log[log.rindex("source: no folder") :]

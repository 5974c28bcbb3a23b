"""`image-pipelines trace`: its findings in a lake, in MLflow and at the labeling destination, and its reads."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient
from pyspark.sql import SparkSession

from components.build_training_set.build import build_training_set
from components.errors import InputError
from components.labeling.batches import copy_name
from components.labeling.requests import LABELED, UNCERTAIN
from components.lake import Lake
from components.lake.tables import (
    ANNOTATIONS,
    CLASSES,
    EVALUATIONS,
    FILES,
    FOLDER,
    LABELING_REQUESTS,
    LABELS,
    PREDICTIONS,
    PROMOTIONS,
    QUARANTINED,
    UNDONE,
)
from components.registry.champion import replace_champion
from components.registry.model_registry import ModelRegistry
from components.registry.tags import (
    ACCURACY_TAG,
    COMPARED_WITH_TAG,
    DECISION_TAG,
    DIGEST_TAG,
    TRAINING_SET_ID_TAG,
    TRAINING_SET_URI_TAG,
)
from components.settings import Settings
from components.storage import uri
from components.training_set.features import TRAINING_SETS_FOLDER
from components.training_set.manifest import MANIFEST, MEMBERS, SplitName, TrainingSet
from pipelines.trace.image import ImageTrace
from pipelines.trace.model import ModelTrace
from pipelines.trace.read_image import read_image
from pipelines.trace.read_model import find_version, read_model
from tests.support.lake_rows import append_images, append_rows, replace_image
from tests.support.paths import REPOSITORY
from tests.support.report_page import ReportPage
from tests.support.report_samples import photograph, training_set
from tests.support.scored_lake import digest_of, insert_predictions
from tests.support.tracking import make_tracking

MODEL = "model"
CAT, DOG, KITTEN = 1, 2, 3
FIRST = datetime(2026, 5, 1, tzinfo=UTC)
BATCH = "20260601T020000Z-0123abcd"
NUMBERS = count()
COPY = "file:/landing/z/copy.jpg"


@dataclass(frozen=True)
class Built:
    """A lake with a training set.

    Attributes:
        root: Folder of the lake.
        images: Content of each labeled image by path.
        copied: Path of the image that `COPY` has the content of.
        training_set_id: Id of the training set.
    """

    root: Path
    images: Mapping[str, bytes]
    copied: str
    training_set_id: str


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def in_split(split: SplitName) -> bytes:
    """Return a small picture that the default split of a lake assigns to a split."""
    for number in NUMBERS:
        content = photograph(number, 64, 48)
        position = int(hashlib.sha256(f"0:{sha256(content)}".encode()).hexdigest()[:8], 16) / 2**32
        if split is (SplitName.TEST if position < 0.1 else SplitName.VALIDATION if position < 0.2 else SplitName.TRAIN):
            return content
    raise AssertionError


def folder(lake: Lake) -> Path:
    return Path(lake.root.removeprefix("file://"))


def settings(lake: Lake, **values: str) -> Settings:
    return Settings.load(lake=lake.root, model_name=MODEL, **values)


def trace(lake: Lake, path: str, **values: str) -> ImageTrace:
    return read_image(lake, settings(lake, **values), path)


def insert_classes(lake: Lake) -> None:
    append_rows(
        lake, CLASSES, [(CAT, "cat", None, FOLDER), (DOG, "dog", None, FOLDER), (KITTEN, "kitten", CAT, FOLDER)]
    )


def insert_labeled(lake: Lake, prefix: str) -> dict[str, bytes]:
    """Insert images of all splits, and return the content of each path."""
    images = {
        f"file:/landing/{prefix}/{split}-{number}.jpg": in_split(split) for split in SplitName for number in range(2)
    }
    append_images(lake, [(path, content, CAT) for path, content in images.items()], FIRST)
    return images


@pytest.fixture(scope="module")
def built(spark: SparkSession, empty_lake: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A lake with a training set for copies, because a build takes seconds."""
    root = tmp_path_factory.mktemp("built") / "lake"
    shutil.copytree(empty_lake, root)
    lake = Lake(spark, str(root))
    insert_classes(lake)
    images = insert_labeled(lake, "m")
    path, content = next(iter(images.items()))
    append_images(lake, [(COPY, content, CAT)], FIRST)
    return Built(root, images, path, build_training_set(lake).training_set.id)


@pytest.fixture
def made(lake: Lake, built: Built) -> TrainingSet:
    """Copy the images and their training set into the lake, and return the training set."""
    shutil.copytree(built.root, folder(lake), dirs_exist_ok=True)
    return TrainingSet.read(uri.join(lake.root, TRAINING_SETS_FOLDER, built.training_set_id), lake.files)


def register(
    tracking: str, training_set: TrainingSet, promote: bool = True, tags: Mapping[str, str] | None = None
) -> None:
    """Register a model version with an MLflow run, and promote it."""
    client = MlflowClient(tracking, tracking)
    run = client.create_run("0", tags={TRAINING_SET_ID_TAG: training_set.id, "code.version": "0.2.0"})
    client.set_terminated(run.info.run_id)
    registry = ModelRegistry(tracking, MODEL)
    if not list(registry.versions()):
        client.create_registered_model(MODEL)
    number = str(1 + len(list(registry.versions())))
    origin = {TRAINING_SET_ID_TAG: training_set.id, TRAINING_SET_URI_TAG: training_set.uri}
    all_tags = {DIGEST_TAG: digest_of(number), **origin, **(tags or {})}
    client.create_model_version(MODEL, "file:///nowhere", run.info.run_id, tags=all_tags)
    if promote:
        replace_champion(registry, number)


@pytest.fixture
def tracking(tmp_path: Path) -> str:
    return make_tracking(tmp_path)


def members(training_set: TrainingSet) -> set[str]:
    table = pq.read_table(f"{training_set.uri.removeprefix('file://')}/{MEMBERS}", columns=["content_sha256"])
    return set(table["content_sha256"].to_pylist())


def test_trace_finds_each_training_set_of_an_image_and_no_other(lake: Lake) -> None:
    insert_classes(lake)
    older = insert_labeled(lake, "older")
    first = build_training_set(lake).training_set
    newer = insert_labeled(lake, "newer")
    second = build_training_set(lake).training_set

    # One image of each split, and a newer one.
    chosen = [*[*older][::2], next(iter(newer))]
    traces = [trace(lake, path) for path in chosen]
    for path, found in zip(chosen, traces, strict=True):
        content = (older | newer)[path]
        expected = {made.id for made in (first, second) if sha256(content) in members(made)}
        assert {each.training_set_id for each in found.memberships} == expected, path
    found = traces[0]
    assert [each.training_set_id for each in found.memberships] == [second.id, first.id]
    assert {(each.label, each.label_source, each.path) for each in found.memberships} == {(CAT, "folder", found.path)}


@pytest.mark.usefixtures("made")
def test_trace_finds_a_training_set_by_another_path_with_the_same_content(lake: Lake, built: Built) -> None:
    (membership,) = trace(lake, COPY).memberships

    assert membership.path == built.copied


@pytest.fixture
def skipping(lake: Lake) -> Iterator[None]:
    """Skip files by their statistics. Other tests do not."""
    name = "spark.databricks.delta.stats.skipping"
    before = lake.spark.conf.get(name)
    lake.spark.conf.set(name, "true")
    yield
    lake.spark.conf.set(name, before)


@pytest.mark.usefixtures("skipping")
def test_trace_reads_neither_segments_of_other_splits_nor_files_of_other_paths(
    lake: Lake, built: Built, made: TrainingSet
) -> None:
    path = next(path for path in built.images if f"/{SplitName.TRAIN}-" in path)
    insert_predictions(lake, {path: 0.9})
    before = {file for file in folder(lake).rglob("*.parquet") if "_delta_log" not in file.parts}
    append_images(lake, [(f"file:/landing/{name}.jpg", in_split(SplitName.TRAIN), None) for name in "ab"], FIRST)
    insert_predictions(lake, {"file:/landing/a.jpg": 0.5})
    others = {file for file in folder(lake).rglob("*.parquet") if "_delta_log" not in file.parts} - before
    assert {file.relative_to(folder(lake)).parts[0] for file in others} == {"files", "images", "predictions"}
    others |= {
        folder(lake) / "segment_files" / f"{each.name}.parquet"
        for each in made.segments
        if each.split is not SplitName.TRAIN
    }

    # A read of any of them would fail.
    for file in others:
        file.unlink()
    found = trace(lake, path)

    assert [each.score for each in found.predictions] == [pytest.approx(0.9)]
    assert [each.split for each in found.memberships] == [SplitName.TRAIN]
    assert found.arrivals[0].picture == built.images[path]


def test_trace_shows_each_content_of_a_path_with_its_picture_and_the_one_that_is_current(lake: Lake) -> None:
    path, old, new = "file:/landing/a.jpg", in_split(SplitName.TRAIN), in_split(SplitName.TEST)
    append_images(lake, [(path, old, None)], FIRST)
    replace_image(lake, path, new)

    found = trace(lake, "file:///landing/a.jpg")

    assert [each.picture for each in found.arrivals] == [new, old]
    assert found.current is not None
    assert found.current.content_sha256 == sha256(new)
    assert found.arrivals[1].ingested_at == FIRST


def test_trace_has_labels_annotations_requests_and_copies(lake: Lake, tmp_path: Path) -> None:
    insert_classes(lake)
    path, content = "file:/landing/a.jpg", in_split(SplitName.TRAIN)
    append_images(lake, [(path, content, DOG)], FIRST)
    digest, when = sha256(content), FIRST + timedelta(days=1)
    append_rows(
        lake,
        ANNOTATIONS,
        [
            ("file", "1", path, digest, KITTEN, "ada", when, BATCH),
            ("file", "2", path, UNDONE + digest, DOG, "ben", FIRST, BATCH),
        ],
    )
    append_rows(lake, LABELS, [(path, digest, KITTEN, "file", when)])
    request = (path, digest, BATCH, "folder", UNCERTAIN, MODEL, "1", DOG, 0.4, FIRST, LABELED, when)
    append_rows(lake, LABELING_REQUESTS, [request, (*request[:2], "gone", *request[3:])])
    copy = tmp_path / "to-label" / BATCH / copy_name(digest, path, "jpeg")
    copy.parent.mkdir(parents=True)
    copy.write_bytes(content)

    found = trace(lake, path, labeling_destination=str(tmp_path / "to-label"))

    assert found.current is not None
    assert (found.current.label, found.current.label_source) == (CAT, "file")
    assert found.merges == {KITTEN: CAT}
    assert [(each.annotator, each.is_undone, each.content_sha256) for each in found.annotations] == [
        ("ada", False, digest),
        ("ben", True, digest),
    ]
    assert [(each.label, each.labeled_at) for each in found.labels] == [(KITTEN, when)]
    copies = {each.batch: each.copy for each in found.requests}
    assert copies[BATCH] == copy.as_uri()
    assert copies["gone"].startswith("not found: ")


def test_trace_of_a_file_in_quarantine_has_the_reason(lake: Lake) -> None:
    row = ("file:/landing/a.txt", "file:/landing", 4, FIRST, None, "s", None, QUARANTINED, "not an image", None)
    append_rows(lake, FILES, [(*row, FIRST.date(), FIRST)])

    found = trace(lake, "file:/landing/a.txt")

    assert found.file is not None
    assert (found.file.state, found.file.reason, found.current) == (QUARANTINED, "not an image", None)


def test_trace_of_an_unknown_or_malformed_path_is_one_sentence(lake: Lake) -> None:
    with pytest.raises(InputError, match=r"^path: 'file:/landing/x.jpg' is not in the lake"):
        trace(lake, "file:/landing/x.jpg")
    with pytest.raises(InputError, match=r"^path: 'x.jpg' is neither"):
        trace(lake, "x.jpg")


def test_trace_names_the_models_that_used_an_image_and_the_current_prediction(
    lake: Lake, tracking: str, built: Built, made: TrainingSet
) -> None:
    images = built.images
    register(tracking, made)
    register(tracking, made)
    register(tracking, made, promote=False)
    path = next(path for path in images if f"/{SplitName.TEST}-" in path)
    insert_predictions(lake, {path: 0.7}, version="1", label=DOG, scored_at=FIRST)
    later = FIRST + timedelta(days=1)
    append_rows(lake, EVALUATIONS, [(sha256(images[path]), digest_of("2"), CAT, 0.8, None, later)])

    found = trace(lake, path, mlflow_tracking_uri=tracking)

    assert found.current is not None
    assert (found.current.version, found.current.predicted_label) == ("1", DOG)
    assert {(each.version, each.role, each.status) for each in found.models} == {
        ("1", "predecessor", "FINISHED"),
        ("2", "champion", "FINISHED"),
        ("3", "", "FINISHED"),
    }
    assert [(each.version, each.is_test, each.label) for each in found.predictions] == [
        ("2", True, CAT),
        ("1", False, DOG),
    ]


def test_trace_of_an_image_has_the_rest_if_mlflow_and_the_labeling_destination_are_unusable(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    path, content = "file:/landing/a.jpg", in_split(SplitName.TRAIN)
    append_images(lake, [(path, content, None)], FIRST)
    request = (path, sha256(content), BATCH, "folder", UNCERTAIN, MODEL, "1", DOG, 0.4, FIRST, None, None)
    append_rows(lake, LABELING_REQUESTS, [request])

    found = trace(lake, path, mlflow_tracking_uri="http://127.0.0.1:1", labeling_destination="ftp://to-label")

    assert found.current is not None
    assert found.succession is None
    assert found.registry_error.startswith("mlflow_tracking_uri: 'http://127.0.0.1:1' can't be read (")
    assert [each.copy.partition(":")[0] for each in found.requests] == ["unknown"]


def test_trace_writes_nothing_and_names_the_versions_that_it_read(lake: Lake) -> None:
    path = "file:/landing/a.jpg"
    append_images(lake, [(path, in_split(SplitName.TRAIN), None)], FIRST)
    before = {file: file.stat().st_mtime_ns for file in folder(lake).rglob("*")}

    found = trace(lake, path)

    assert {file: file.stat().st_mtime_ns for file in folder(lake).rglob("*")} == before
    assert found.table_versions["files"] == lake.version(FILES)
    assert set(found.table_versions) >= {"files", "images", "annotations", "labels", "predictions", "groups"}


def trace_version(lake: Lake, tracking: str, version: str) -> ModelTrace:
    chosen = settings(lake, mlflow_tracking_uri=tracking)
    return read_model(lake, chosen, *find_version(chosen, version))


def test_trace_of_a_model_has_its_data_run_comparisons_promotions_and_days(
    lake: Lake, tracking: str, built: Built, made: TrainingSet
) -> None:
    images = built.images
    register(tracking, made, tags={ACCURACY_TAG: "0.9", DECISION_TAG: "promoted"})
    register(tracking, made, tags={COMPARED_WITH_TAG: "1", DECISION_TAG: "promoted"})
    append_rows(
        lake,
        PROMOTIONS,
        [
            (MODEL, digest_of("1"), "1", FIRST, "first"),
            (MODEL, digest_of("2"), "2", FIRST + timedelta(days=3), "better"),
        ],
    )
    first, second, third = list(images)[:3]
    insert_predictions(lake, {first: 0.9, second: None}, version="1", scored_at=FIRST)
    insert_predictions(lake, {third: 0.5}, version="1", scored_at=FIRST + timedelta(days=2))
    insert_predictions(lake, {first: 0.1}, version="2", scored_at=FIRST)
    append_rows(lake, EVALUATIONS, [(sha256(images[first]), digest_of("1"), CAT, 0.8, None, FIRST)])

    found = trace_version(lake, tracking, "1")

    assert found.training_set == made
    assert found.run is not None
    assert found.run.tags["code.version"] == "0.2.0"
    assert (found.decision.accuracy, [each.version for each in found.challengers]) == (0.9, ["2"])
    assert found.evaluations.images == 1
    assert [(each.since, each.until, each.successor) for each in found.reigns] == [
        (FIRST, FIRST + timedelta(days=3), "2")
    ]
    assert [(each.day, each.images, each.failed) for each in found.predictions] == [
        (FIRST.date(), 2, 1),
        ((FIRST + timedelta(days=2)).date(), 1, 0),
    ]
    assert found.role == "predecessor"
    assert set(found.table_versions) == {PREDICTIONS.name, EVALUATIONS.name, PROMOTIONS.name}


def test_trace_of_a_model_counts_undated_predictions_and_has_the_error_of_its_training_set(
    lake: Lake, tracking: str, tmp_path: Path
) -> None:
    register(tracking, training_set(), tags={TRAINING_SET_URI_TAG: (tmp_path / "deleted").as_uri()})
    (tmp_path / MANIFEST).write_text('{"segments": []}')
    register(tracking, training_set(), tags={TRAINING_SET_URI_TAG: tmp_path.as_uri()})
    undated = ("file:/landing/a.jpg", "a" * 64, digest_of("1"), MODEL, "1", CAT, 0.9, None, None, None, None)
    append_rows(lake, PREDICTIONS, [undated])

    deleted, damaged = (trace_version(lake, tracking, version) for version in "12")

    assert (deleted.undated, deleted.predictions) == (1, ())
    assert deleted.training_set_error.startswith("training_set: ")
    assert f"has no {MANIFEST}" in deleted.training_set_error
    assert damaged.training_set_error.endswith("is not of this release.")


def test_trace_of_an_unknown_version_is_one_sentence(lake: Lake, tracking: str) -> None:
    with pytest.raises(InputError, match=r"^--model: 'model' has no version '7'"):
        trace_version(lake, tracking, "7")


def test_command_prints_a_trace_and_writes_its_page(lake: Lake, tmp_path: Path) -> None:
    path = "file:/landing/a.jpg"
    append_images(lake, [(path, in_split(SplitName.TRAIN), None)], FIRST)
    page = tmp_path / "pages" / "a.html"

    printed = run_command(lake, path)
    run_command(lake, path, "--html", str(page))

    read = ReportPage.read(page)
    assert read.title == "a.jpg"
    assert read.galleries["Picture"][0].path == path
    assert read.summary in printed


def run_command(lake: Lake, *arguments: str) -> str:
    """Run the command in a process of its own, because it ends its Spark session, and return what it prints."""
    finished = subprocess.run(
        [sys.executable, "-m", "pipelines", "trace", *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "IMAGE_PIPELINES_LAKE": lake.root},
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout

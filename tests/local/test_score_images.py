"""Scoring predicts each unlabeled image once, exactly as the SavedModel does."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import Row

from components.errors import InputError
from components.lake import Lake
from components.lake.tables import IMAGES, LABELS, PREDICTIONS
from components.pipeline_run import RUN_ID_VARIABLE
from components.preprocessing.classifier import Classifier
from components.preprocessing.header import image_size
from components.registry.champion import require_champion
from components.registry.model_registry import CHAMPION, ModelRegistry
from components.registry.tags import DIGEST_TAG
from components.run_notes import ScoreNote, read_run_note, write_run_note
from components.score_images.predict import predict
from components.score_images.report import write_report
from components.score_images.score import ScoreResult, score, score_lake
from components.settings import Settings
from components.spark.frames import frame
from components.spark.memory_budget import Budget
from components.spark.send import send
from components.spark.worker_classifier import MAXIMUM_ROWS, classifier, split
from tests.support.lake_rows import append_images, append_rows, replace_image
from tests.support.saved_model_factory import LoggedModel, log_classifier, nearest_mean_classifier, random_classifier
from tests.support.spark_io import SparkIO
from tests.support.tracking import make_tracking
from tests.support.training_set_factory import digits

DIGITS = digits(40)
MODEL = "digits"


@dataclass(frozen=True)
class Models:
    """A registered model with two versions and no champion."""

    tracking: str
    registry: ModelRegistry

    def promote(self, version: str) -> Classifier:
        """Make a version the champion, and load its model without scoring's code."""
        self.registry.set_alias(CHAMPION, version)
        champion = require_champion(self.registry)
        return self.registry.load(champion.model_uri, champion.digest)


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[LoggedModel]]:
    folder = tmp_path_factory.mktemp("mlflow")
    tracking = make_tracking(folder)
    labels = sorted({label for _, label in DIGITS})
    models = [nearest_mean_classifier(DIGITS), random_classifier(labels)]
    return tracking, [log_classifier(tracking, folder / "artifacts", model) for model in models]


@pytest.fixture
def models(logged: tuple[str, list[LoggedModel]], request: pytest.FixtureRequest) -> Models:
    tracking, logged_models = logged
    registry = ModelRegistry(tracking, request.node.name)
    for model in logged_models:
        registry.create_version(model.run_id, model.model_uri, {DIGEST_TAG: model.digest})
    return Models(tracking, registry)


@pytest.fixture
def run(lake: Lake, models: Models) -> Callable[..., ScoreResult]:
    # Without the scoring of recent images after a promotion.
    return lambda rescore=False, days=0: score_lake(
        lake, models.registry, require_champion(models.registry), rescore, rescore_days=days
    )


def insert(lake: Lake, images: Sequence[tuple[str, bytes, int | None]]) -> None:
    """Insert images into the lake, each given as path, content and label of its folder."""
    append_images(lake, images, datetime.now(UTC))


def insert_digits(lake: Lake, numbers: range, label: int | None = None) -> None:
    insert(lake, [(f"file:/d/{number}.jpg", DIGITS[number][0], label) for number in numbers])


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def predictions(lake: Lake) -> dict[tuple[str, str], Row]:
    rows = lake.read(PREDICTIONS).collect()
    by_key = {(row["path"], row["model_version"]): row for row in rows}
    assert len(by_key) == len(rows)
    return by_key


def note(lake: Lake) -> Path:
    return Path(lake.root.removeprefix("file://")) / "_status" / "score_images.json"


def test_predictions_match_the_saved_model(
    lake: Lake, models: Models, run: Callable[..., ScoreResult], tmp_path: Path
) -> None:
    classifier = models.promote("1")
    insert_digits(lake, range(40))
    before = datetime.now(UTC).replace(tzinfo=None)

    result = run()

    rows = predictions(lake)
    assert (result.scored, result.failed, result.model_version) == (40, 0, "1")
    assert result.table_version == lake.version(PREDICTIONS)
    # A processor adds up batches of other sizes in another order: 3e-5 between batches of 2 and 40 was measured.
    expected = classifier.scores([content for content, _ in DIGITS]).astype(np.float64)
    for number, scores in zip(range(len(DIGITS)), expected, strict=True):
        row = rows[f"file:/d/{number}.jpg", "1"]
        first, second = np.sort(scores)[:-3:-1]
        assert row["predicted_label"] == classifier.labels[scores.argmax()]
        assert row["predicted_score"] == pytest.approx(first, abs=1e-4)
        assert row["margin"] == pytest.approx(first - second, abs=1e-4)
        assert row["entropy"] == pytest.approx(-(scores * np.log(scores)).sum(), abs=1e-3)
        assert (row["model_name"], row["error"]) == (models.registry.model_name, None)
        assert row["model_digest"] == require_champion(models.registry).digest
        assert row["content_sha256"] == sha256(DIGITS[number][0])
        assert before <= row["scored_at"].replace(tzinfo=None) <= datetime.now(UTC).replace(tzinfo=None)

    lowest = sorted(rows.values(), key=lambda row: (row["predicted_score"], row["path"]))[:24]
    assert [image.path for image in result.examples] == [row["path"] for row in lowest]
    assert sum(result.histogram) == result.by_label.total() == 40
    assert result.uncertain == sum(row["predicted_score"] < 0.95 for row in rows.values())
    write_report(result, str(tmp_path / "report.html"))
    page = (tmp_path / "report.html").read_text()
    assert all(image.path in page for image in result.examples)


def test_image_is_uncertain_below_the_threshold_but_not_at_it(lake: Lake, models: Models) -> None:
    models.promote("1")
    insert_digits(lake, range(40))
    champion = require_champion(models.registry)
    score_lake(lake, models.registry, champion)
    # Scores of a first run, because a batch of another size may be multiplied in another order.
    scores = np.sort([np.float32(row[0]) for row in lake.read(PREDICTIONS).select("predicted_score").collect()])
    # As a decimal number, the threshold is slightly larger than the float of the same digits, e.g. 0.95.
    threshold_score = next(score for score in scores[1:] if float(str(score)) > float(score))
    threshold = float(str(threshold_score))
    lake.delta(PREDICTIONS).delete()

    result = score_lake(lake, models.registry, champion, rescore=True, threshold=threshold)

    assert (result.threshold, result.uncertain) == (threshold, int((scores < threshold_score).sum()))
    assert result.uncertain > 0


def test_run_note_includes_the_counts_of_a_failed_attempt(
    lake: Lake, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.promote("1")
    insert_digits(lake, range(5))
    monkeypatch.setenv(RUN_ID_VARIABLE, "r")
    settings = Settings.load(lake=lake.root)
    champion = require_champion(models.registry)

    def write_note(note: ScoreNote) -> None:
        write_run_note(settings, note)

    def fail_late(note: ScoreNote) -> None:
        write_note(note)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        score_lake(lake, models.registry, champion, on_batch=fail_late)
    second = score_lake(lake, models.registry, champion, on_batch=write_note)

    note = read_run_note(settings, "r", ScoreNote)
    assert note is not None
    assert second.scored == 0
    assert (note.scored, note.failed, note.model_version) == (5, 0, "1")


def test_repeated_scoring_is_idempotent_and_scores_new_images(
    lake: Lake, models: Models, run: Callable[..., ScoreResult]
) -> None:
    models.promote("1")
    insert_digits(lake, range(5))
    first = run()
    second = run()
    insert_digits(lake, range(5, 8))
    third = run()

    assert (second.scored, second.failed, second.table_version) == (0, 0, first.table_version)
    assert (third.scored, third.table_version) == (3, first.table_version + 1)


@pytest.mark.slow
def test_deleted_note_changes_nothing(lake: Lake, models: Models, run: Callable[..., ScoreResult]) -> None:
    models.promote("1")
    insert_digits(lake, range(5))
    first = run()
    before = predictions(lake)
    note(lake).unlink()

    again = run()

    assert (again.scored, again.failed, again.table_version) == (0, 0, first.table_version)
    assert predictions(lake) == before


def test_labeled_images_are_not_scored(lake: Lake, models: Models, run: Callable[..., ScoreResult]) -> None:
    models.promote("1")
    insert_digits(lake, range(3), label=7)
    insert_digits(lake, range(3, 6))
    # A label of an earlier content does not count.
    labels_from_people = [
        ("file:/d/4.jpg", sha256(DIGITS[4][0]), 9, "people", datetime.now(UTC)),
        ("file:/d/5.jpg", sha256(b"earlier"), 9, "people", datetime.now(UTC)),
    ]
    append_rows(lake, LABELS, labels_from_people)

    result = run()

    assert result.scored == 2
    assert {path for path, _ in predictions(lake)} == {"file:/d/3.jpg", "file:/d/5.jpg"}


def test_undecodable_image_gets_an_error_and_the_others_a_prediction(
    lake: Lake, models: Models, run: Callable[..., ScoreResult], tmp_path: Path
) -> None:
    models.promote("1")
    insert_digits(lake, range(3))
    insert(lake, [("file:/d/broken.jpg", DIGITS[3][0][:200], None), ("file:/d/empty.jpg", b"", None)])

    result = run()

    rows = predictions(lake)
    assert (result.scored, result.failed) == (3, 2)
    for name in ("broken", "empty"):
        row = rows[f"file:/d/{name}.jpg", "1"]
        assert row["error"]
        assert (row["predicted_label"], row["predicted_score"], row["margin"], row["entropy"]) == (None,) * 4
    assert all(rows[f"file:/d/{number}.jpg", "1"]["error"] is None for number in range(3))
    assert dict(result.failures).keys() == {"file:/d/broken.jpg", "file:/d/empty.jpg"}
    assert run().failed == 0
    write_report(result, str(tmp_path / "report.html"))
    assert "file:/d/broken.jpg" in (tmp_path / "report.html").read_text()


def test_scoring_without_a_champion_consumes_nothing(lake: Lake, models: Models) -> None:
    insert_digits(lake, range(3))
    settings = Settings.load(lake=lake.root, mlflow_tracking_uri=models.tracking, model_name=models.registry.model_name)

    with pytest.raises(InputError, match=r"^model_name: '.*' has no champion"):
        score(settings)

    assert not note(lake).exists()
    models.promote("1")
    assert score(settings).scored == 3


def test_tampered_champion_scores_nothing(lake: Lake, models: Models, run: Callable[..., ScoreResult]) -> None:
    models.promote("1")
    models.registry.set_tags("1", {DIGEST_TAG: "0" * 64})
    insert_digits(lake, range(3))

    with pytest.raises(InputError, match="differ from the registered ones"):
        run()

    assert not note(lake).exists()


@pytest.mark.slow
def test_rescoring_adds_predictions_and_keeps_the_old(
    lake: Lake, models: Models, run: Callable[..., ScoreResult]
) -> None:
    models.promote("1")
    insert_digits(lake, range(4))
    run()
    before = predictions(lake)
    classifier = models.promote("2")
    labeled = [("file:/d/0.jpg", sha256(DIGITS[0][0]), 3, "people", datetime.now(UTC))]
    append_rows(lake, LABELS, labeled)
    insert_digits(lake, range(4, 6))

    without_rescore = run()
    result = run(rescore=True)
    again = run(rescore=True)

    assert (without_rescore.scored, result.scored, again.scored) == (2, 3, 0)
    assert again.table_version == result.table_version
    after = predictions(lake)
    assert {key: after[key] for key in before} == before
    assert {path for path, version in after if version == "2"} == {f"file:/d/{number}.jpg" for number in range(1, 6)}
    for number in range(1, 6):
        prediction = classifier.predict([DIGITS[number][0]])[0]
        assert after[f"file:/d/{number}.jpg", "2"]["predicted_label"] == prediction.label


def test_duplicate_content_is_scored_once_and_both_paths_get_the_prediction(
    lake: Lake, models: Models, run: Callable[..., ScoreResult]
) -> None:
    models.promote("1")
    insert_digits(lake, range(2))
    insert(lake, [("file:/copy/0.jpg", DIGITS[0][0], None)])

    assert run().scored == 3

    rows = predictions(lake)
    original, copy = rows["file:/d/0.jpg", "1"].asDict(), rows["file:/copy/0.jpg", "1"].asDict()
    assert {**original, "path": ""} == {**copy, "path": ""}


@pytest.mark.slow
def test_replaced_file_is_scored_again(lake: Lake, models: Models, run: Callable[..., ScoreResult]) -> None:
    models.promote("1")
    insert_digits(lake, range(3))
    run()
    replace_image(lake, "file:/d/1.jpg", DIGITS[10][0])

    assert (run().scored, run().scored) == (1, 0)

    rows = lake.read(PREDICTIONS).where("path = 'file:/d/1.jpg'").collect()
    assert {row["content_sha256"] for row in rows} == {sha256(DIGITS[1][0]), sha256(DIGITS[10][0])}


@pytest.mark.slow
def test_version_of_the_same_number_in_another_registry_scores_the_images_again(
    lake: Lake, models: Models, run: Callable[..., ScoreResult], logged: tuple[str, list[LoggedModel]]
) -> None:
    models.promote("1")
    insert_digits(lake, range(3))
    run()
    # A new MLflow database counts from 1 again. Here it is another model of the same name in the lake.
    other = logged[1][1]
    registry = ModelRegistry(models.tracking, f"{models.registry.model_name}-new")
    registry.create_version(other.run_id, other.model_uri, {DIGEST_TAG: other.digest})
    registry.set_alias(CHAMPION, "1")

    assert score_lake(lake, registry, require_champion(registry)).scored == 3

    rows = lake.read(PREDICTIONS).collect()
    assert {(row["model_version"], row["model_digest"]) for row in rows} == {("1", model.digest) for model in logged[1]}


@pytest.mark.slow
def test_promotion_scores_recent_images_again(lake: Lake, models: Models, run: Callable[..., ScoreResult]) -> None:
    models.promote("1")
    append_images(lake, [("file:/old.jpg", DIGITS[0][0], None)], datetime.now(UTC) - timedelta(days=8))
    append_images(lake, [("file:/recent.jpg", DIGITS[1][0], None)], datetime.now(UTC) - timedelta(days=6))
    run()
    models.promote("2")

    assert run(days=7).scored == 1

    assert predictions(lake).keys() == {("file:/old.jpg", "1"), ("file:/recent.jpg", "1"), ("file:/recent.jpg", "2")}


@pytest.mark.slow
def test_image_of_an_ingest_that_was_completed_late_is_scored(
    lake: Lake, models: Models, run: Callable[..., ScoreResult]
) -> None:
    models.promote("1")
    planned_at = datetime.now(UTC) - timedelta(days=3)
    plan = Path(lake.root.removeprefix("file://")) / "_plans" / "source" / "0000000000.parquet"
    plan.parent.mkdir(parents=True)
    plan.touch()
    os.utime(plan, (planned_at.timestamp(),) * 2)
    insert_digits(lake, range(2))
    run()
    append_images(lake, [("file:/late.jpg", DIGITS[5][0], None)], planned_at)
    plan.unlink()

    assert (run().scored, run().scored) == (1, 0)


def test_second_run_reads_neither_scored_nor_labeled_content(
    lake: Lake, models: Models, run: Callable[..., ScoreResult]
) -> None:
    models.promote("1")
    # Content after the end of a JPEG is no part of the picture.
    images = [(f"file:/large/{number}.jpg", DIGITS[number][0] + bytes(2_000_000), None) for number in range(8)]
    insert(lake, images)
    insert(lake, [(f"file:/labeled/{path[-5:]}", content, 7) for path, content, _ in images])
    run()
    insert_digits(lake, range(20, 22))
    before = SparkIO.now(lake.spark)

    assert run().scored == 2

    assert (SparkIO.now(lake.spark) - before).read < 16_000_000


def test_batch_is_written_as_one_file(lake: Lake, models: Models, run: Callable[..., ScoreResult]) -> None:
    models.promote("1")
    insert_digits(lake, range(40))

    run()

    assert lake.delta(PREDICTIONS).detail().first()["numFiles"] == 1


def test_image_without_content_in_the_lake_gets_an_error_and_the_others_a_prediction(
    lake: Lake, models: Models, run: Callable[..., ScoreResult]
) -> None:
    models.promote("1")
    insert_digits(lake, range(3))
    lake.delta(IMAGES).delete("path = 'file:/d/1.jpg'")

    result = run()

    assert (result.scored, result.failures) == (2, [("file:/d/1.jpg", "the table images has no content of this image")])


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], []),
        ([1], [1]),
        ([1] * (MAXIMUM_ROWS + 1), [MAXIMUM_ROWS, 1]),
        ([100, 1, 99], [1, 2]),
        ([1, 200, 1], [1, 1, 1]),
    ],
)
def test_batches_stay_within_rows_and_bytes(sizes: list[int], expected: list[int]) -> None:
    images = [bytes(size) for size in sizes]

    batches = list(split(images, Budget(batch_bytes=100, pixels=1)))

    assert [len(batch) for batch in batches] == expected
    assert list(chain(*batches)) == images


def test_batches_stay_within_pixels_by_image_headers() -> None:
    images = [DIGITS[number][0] for number in range(5)]
    width, height = image_size(images[0]) or (0, 0)

    batches = list(split(images, Budget(batch_bytes=2**30, pixels=2 * width * height)))

    assert [len(batch) for batch in batches] == [2, 2, 1]


def test_worker_loads_the_model_once_with_one_thread_per_core(lake: Lake, models: Models, tmp_path: Path) -> None:
    models.promote("1")
    champion = require_champion(models.registry)
    archive = f"classifier-{models.registry.model_name}"
    send(lake.spark, models.registry.download(champion.model_uri, champion.digest, tmp_path), archive)
    scoring = predict(archive, Budget.of(lake.spark))

    def observe_worker(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        assert sum(batch.num_rows for batch in scoring(batches)) > 0
        child = classifier(archive).pid
        names = [task.joinpath("comm").read_text() for task in Path(f"/proc/{child}/task").iterdir()]
        threads = sum(name.startswith("tf_Compute") for name in names)
        row = {"pid": os.getpid(), "threads": threads, "child": child}
        yield pa.RecordBatch.from_pylist([row])

    images = [(f"{number}", f"{number}", DIGITS[number][0]) for number in range(12)]
    contents = frame(lake.spark, images, "path STRING, content_sha256 STRING, content BINARY").repartition(6)

    rows = contents.mapInArrow(observe_worker, "pid LONG, threads LONG, child LONG").collect()

    assert len(rows) == 6
    assert len({row["pid"] for row in rows}) <= 2
    assert {row["threads"] for row in rows} == {1}
    # No worker loads this model again for its second task.
    assert len({(row["pid"], row["child"]) for row in rows}) == len({row["pid"] for row in rows})

"""Scoring: each image without a label gets what the SavedModel says of it, once."""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import Row

from components.errors import InputError
from components.images.classifier import Classifier
from components.images.header import image_size
from components.lake import Lake, frame
from components.lake.tables import IMAGES, LABELS, PREDICTIONS
from components.register_model.registry import CHAMPION, DIGEST_TAG, ModelRegistry
from components.score_images.predict import MAXIMUM_ROWS, classifier, predict, split
from components.score_images.report import write_report
from components.score_images.score import ScoreResult, require_champion, score, score_lake
from components.score_images.send import send
from components.settings import Settings
from components.workers.budget import Budget
from tests.local.saved_model_factory import LoggedModel, log_classifier, nearest_mean_classifier, random_classifier
from tests.local.training_set_factory import digits

DIGITS = digits(40)
MODEL = "digits"


@dataclass(frozen=True)
class Models:
    """A registry whose two versions are not champions yet."""

    tracking: str
    registry: ModelRegistry

    def promote(self, version: str) -> Classifier:
        """Make a version the champion, and return it as loaded by hand."""
        self.registry.set_alias(CHAMPION, version)
        champion = require_champion(self.registry)
        return self.registry.load(champion.model_uri, champion.digest)


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[LoggedModel]]:
    folder = tmp_path_factory.mktemp("mlflow")
    tracking = f"sqlite:///{folder / 'mlflow.db'}"
    labels = sorted({label for _, label in DIGITS})
    models = [nearest_mean_classifier(DIGITS), random_classifier(labels)]
    return tracking, [log_classifier(tracking, folder / "artifacts", model) for model in models]


@pytest.fixture
def models(logged: tuple[str, list[LoggedModel]], request: pytest.FixtureRequest) -> Models:
    tracking, each = logged
    registry = ModelRegistry(tracking, request.node.name)
    for model in each:
        registry.create_version(model.run_id, model.model_uri, {DIGEST_TAG: model.digest})
    return Models(tracking, registry)


@pytest.fixture
def run(lake: Lake, models: Models) -> Callable[..., ScoreResult]:
    return lambda rescore=False: score_lake(lake, models.registry, require_champion(models.registry), rescore)


def insert(lake: Lake, images: Sequence[tuple[str, bytes, int | None]]) -> None:
    """Put images into the lake: path, content and the label of their folder."""
    now = datetime.now(UTC)
    rows = [
        (path, now, len(content), content, hashlib.sha256(content).hexdigest(), label, now.date(), now)
        for path, content, label in images
    ]
    lake.insert_new(IMAGES, frame(lake.spark, rows, IMAGES.columns))


def insert_digits(lake: Lake, numbers: range, label: int | None = None) -> None:
    insert(lake, [(f"file:/d/{number}.jpg", DIGITS[number][0], label) for number in numbers])


def predictions(lake: Lake) -> dict[tuple[str, str], Row]:
    rows = lake.read(PREDICTIONS).collect()
    by_key = {(row["path"], row["model_version"]): row for row in rows}
    assert len(by_key) == len(rows)
    return by_key


def checkpoints(lake: Lake) -> Path:
    return Path(lake.root.removeprefix("file://")) / "_checkpoints"


def test_predictions_are_what_the_saved_model_says_of_each_file(
    lake: Lake, models: Models, run: Callable[..., ScoreResult], tmp_path: Path
) -> None:
    classifier = models.promote("1")
    insert_digits(lake, range(40))
    before = datetime.now(UTC).replace(tzinfo=None)

    result = run()

    rows = predictions(lake)
    assert (result.scored, result.failed, result.model_version) == (40, 0, "1")
    assert result.table_version == lake.version(PREDICTIONS)
    # In one batch, as the workers have batches: some processors multiply a single row in another order.
    expected = classifier.scores([content for content, _ in DIGITS]).astype(np.float64)
    for number, scores in zip(range(len(DIGITS)), expected, strict=True):
        row = rows[f"file:/d/{number}.jpg", "1"]
        first, second = np.sort(scores)[:-3:-1]
        assert row["predicted_label"] == classifier.labels[scores.argmax()]
        assert row["predicted_score"] == pytest.approx(first, abs=1e-6)
        assert row["margin"] == pytest.approx(first - second, abs=1e-6)
        assert row["entropy"] == pytest.approx(-(scores * np.log(scores)).sum(), abs=1e-5)
        assert (row["model_name"], row["error"]) == (models.registry.model_name, None)
        assert before <= row["scored_at"].replace(tzinfo=None) <= datetime.now(UTC).replace(tzinfo=None)

    lowest = sorted(rows.values(), key=lambda row: (row["predicted_score"], row["path"]))[:24]
    assert [each.path for each in result.examples] == [row["path"] for row in lowest]
    assert sum(result.histogram) == result.by_label.total() == 40
    assert result.doubtful == sum(row["predicted_score"] < 0.95 for row in rows.values())
    write_report(result, str(tmp_path / "report.html"))
    page = (tmp_path / "report.html").read_text()
    assert all(each.path in page for each in result.examples)


def test_images_are_doubtful_under_the_threshold_that_is_given_and_not_at_it(lake: Lake, models: Models) -> None:
    models.promote("1")
    insert_digits(lake, range(40))
    champion = require_champion(models.registry)
    score_lake(lake, models.registry, champion)
    # Of a first run: a batch of another size, as here in the test, may be multiplied in another order.
    best = np.sort([np.float32(row[0]) for row in lake.read(PREDICTIONS).select("predicted_score").collect()])
    # As a person writes it, it is a little more than the float of the same digits, as 0.95 is.
    at = next(score for score in best[1:] if float(str(score)) > float(score))
    threshold = float(str(at))
    lake.delta(PREDICTIONS).delete()

    result = score_lake(lake, models.registry, champion, rescore=True, threshold=threshold)

    assert (result.threshold, result.doubtful) == (threshold, int((best < at).sum()))
    assert result.doubtful > 0


def test_a_threshold_that_is_no_share_is_named_before_anything_starts() -> None:
    with pytest.raises(InputError, match=r"^threshold: 95 is not within 0\.\.1\. Give a share of 1"):
        score(Settings.load(), threshold=95)


def test_a_second_run_changes_nothing_and_a_third_scores_what_is_new(
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


def test_a_deleted_checkpoint_changes_nothing(lake: Lake, models: Models, run: Callable[..., ScoreResult]) -> None:
    models.promote("1")
    insert_digits(lake, range(5))
    first = run()
    before = predictions(lake)
    shutil.rmtree(checkpoints(lake))

    again = run()

    assert (again.scored, again.failed, again.table_version) == (0, 0, first.table_version)
    assert predictions(lake) == before


def test_labelled_images_are_not_scored(lake: Lake, models: Models, run: Callable[..., ScoreResult]) -> None:
    models.promote("1")
    insert_digits(lake, range(3), label=7)
    insert_digits(lake, range(3, 6))
    by_person = [("file:/d/4.jpg", 9, "people", datetime.now(UTC))]
    lake.insert_new(LABELS, frame(lake.spark, by_person, LABELS.columns))

    result = run()

    assert result.scored == 2
    assert {path for path, _ in predictions(lake)} == {"file:/d/3.jpg", "file:/d/5.jpg"}


def test_an_image_that_can_not_be_decoded_gets_an_error_and_the_others_a_label(
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


def test_without_a_champion_nothing_is_consumed(lake: Lake, models: Models) -> None:
    insert_digits(lake, range(3))
    settings = Settings.load(lake=lake.root, mlflow_tracking_uri=models.tracking, model_name=models.registry.model_name)

    with pytest.raises(InputError, match=r"^model_name: no version of '.*' is the champion"):
        score(settings)

    assert not checkpoints(lake).exists()
    models.promote("1")
    assert score(settings).scored == 3


def test_a_tampered_champion_scores_nothing(lake: Lake, models: Models, run: Callable[..., ScoreResult]) -> None:
    models.promote("1")
    models.registry.set_tags("1", {DIGEST_TAG: "0" * 64})
    insert_digits(lake, range(3))

    with pytest.raises(InputError, match="are not those that were registered"):
        run()

    assert not checkpoints(lake).exists()


def test_rescoring_adds_what_the_champion_says_and_keeps_what_was_said(
    lake: Lake, models: Models, run: Callable[..., ScoreResult]
) -> None:
    models.promote("1")
    insert_digits(lake, range(4))
    run()
    before = predictions(lake)
    classifier = models.promote("2")
    labelled = [("file:/d/0.jpg", 3, "people", datetime.now(UTC))]
    lake.insert_new(LABELS, frame(lake.spark, labelled, LABELS.columns))
    insert_digits(lake, range(4, 6))

    without = run()
    result = run(rescore=True)
    again = run(rescore=True)

    assert (without.scored, result.scored, again.scored) == (2, 3, 0)
    assert again.table_version == result.table_version
    after = predictions(lake)
    assert {key: after[key] for key in before} == before
    assert {path for path, version in after if version == "2"} == {f"file:/d/{number}.jpg" for number in range(1, 6)}
    for number in range(1, 6):
        said = classifier.predict([DIGITS[number][0]])[0]
        assert after[f"file:/d/{number}.jpg", "2"]["predicted_label"] == said.label


def test_one_content_under_two_paths_is_scored_once_and_both_have_the_prediction(
    lake: Lake, models: Models, run: Callable[..., ScoreResult]
) -> None:
    models.promote("1")
    insert_digits(lake, range(2))
    insert(lake, [("file:/copy/0.jpg", DIGITS[0][0], None)])

    assert run().scored == 3

    rows = predictions(lake)
    original, copy = rows["file:/d/0.jpg", "1"].asDict(), rows["file:/copy/0.jpg", "1"].asDict()
    assert {**original, "path": ""} == {**copy, "path": ""}


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
def test_a_model_gets_batches_within_rows_and_bytes(sizes: list[int], expected: list[int]) -> None:
    images = [bytes(size) for size in sizes]

    parts = list(split(images, Budget(batch_bytes=100, pixels=1)))

    assert [len(part) for part in parts] == expected
    assert list(chain(*parts)) == images


def test_a_model_gets_batches_within_pixels_as_their_headers_say() -> None:
    images = [DIGITS[number][0] for number in range(5)]
    width, height = image_size(images[0]) or (0, 0)

    parts = list(split(images, Budget(batch_bytes=2**30, pixels=2 * width * height)))

    assert [len(part) for part in parts] == [2, 2, 1]


def test_a_worker_loads_the_model_once_and_has_as_many_threads_as_its_task_has_cores(
    lake: Lake, models: Models, tmp_path: Path
) -> None:
    models.promote("1")
    champion = require_champion(models.registry)
    archive = f"classifier-{models.registry.model_name}"
    send(lake.spark, models.registry.download(champion.model_uri, champion.digest, tmp_path), archive)
    scoring = predict(archive, Budget.of(lake.spark))

    def look(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        assert sum(batch.num_rows for batch in scoring(batches)) > 0
        names = [Path(f"/proc/self/task/{thread}/comm").read_text() for thread in os.listdir("/proc/self/task")]
        threads = sum(name.startswith("tf_Compute") for name in names)
        row = {"pid": os.getpid(), "threads": threads, "loads": classifier.cache_info().misses}
        yield pa.RecordBatch.from_pylist([row])

    rows = [(f"{number}", f"{number}", DIGITS[number][0]) for number in range(12)]
    contents = frame(lake.spark, rows, "path STRING, content_sha256 STRING, content BINARY").repartition(6)

    seen = contents.mapInArrow(look, "pid LONG, threads LONG, loads LONG").collect()

    assert len(seen) == 6
    assert len({row["pid"] for row in seen}) <= 2
    assert {row["threads"] for row in seen} == {1}
    # A worker may have loaded others before; none loads this one for its second task.
    assert len({(row["pid"], row["loads"]) for row in seen}) == len({row["pid"] for row in seen})

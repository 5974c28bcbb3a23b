"""Comparison of challenger and champion on the same test images."""

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from kfp.dsl import ClassificationMetrics, Metrics
from mlflow import MlflowClient
from pyspark.sql import SparkSession

from components.errors import InputError
from components.evaluate_classifier.comparison import ImageGroup
from components.evaluate_classifier.evaluate import Challenger, EvaluationResult, evaluate_challenger
from components.evaluate_classifier.report import log_metrics, write_report
from components.labeling.requests import AUDIT, UNCERTAIN
from components.lake import Lake, tables
from components.lake.tables import EVALUATIONS, FILES, IMAGE, LABELING_REQUESTS
from components.parameters import Gate
from components.parameters.gate import Promotion
from components.register_model.register import Candidate, register_candidate
from components.registry.model_registry import ModelRegistry
from components.storage.files import Files
from components.training_set.manifest import SplitName, TrainingSet
from tests.support.lake_rows import append_rows
from tests.support.paths import REPOSITORY
from tests.support.saved_model_factory import (
    AbortingClassifier,
    LoggedModel,
    constant_classifier,
    log_classifier,
    nearest_mean_classifier,
)
from tests.support.tracking import make_tracking
from tests.support.training_set_factory import LabeledImage, digits, make_training_set

TRAIN = digits(200)
# Enough images for several row groups in each of three segments.
TEST = digits(350)[200:]
LABELS = sorted({label for _, label in TRAIN})
ROWS = 16


@pytest.fixture(scope="module")
def training_set(tmp_path_factory: pytest.TempPathFactory) -> TrainingSet:
    return make_training_set(
        tmp_path_factory.mktemp("set"), {SplitName.TRAIN: TRAIN, SplitName.TEST: TEST}, segments=3, rows=ROWS
    )


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_tracking(tmp_path_factory.mktemp("mlflow"))


@pytest.fixture(scope="module")
def good(tracking: str, tmp_path_factory: pytest.TempPathFactory) -> LoggedModel:
    return log_classifier(tracking, tmp_path_factory.mktemp("good"), nearest_mean_classifier(TRAIN))


@pytest.fixture(scope="module")
def poor(tracking: str, good: LoggedModel) -> LoggedModel:
    return log_classifier(tracking, None, constant_classifier(LABELS, LABELS[0]))


@pytest.fixture(scope="module")
def shared_lake(spark: SparkSession, empty_lake: Path, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake in which each model of these tests classifies the test images once."""
    folder = tmp_path_factory.mktemp("shared") / "lake"
    shutil.copytree(empty_lake, folder)
    return Lake(spark, str(folder))


@pytest.fixture
def registry(tracking: str, request: pytest.FixtureRequest) -> ModelRegistry:
    return ModelRegistry(tracking, request.node.name)


def make_champion(registry: ModelRegistry, model: LoggedModel, training_set: TrainingSet) -> None:
    candidate = Candidate(model.run_id, model.model_uri, model.digest, training_set.uri, 0.5, True, "", "")
    assert register_candidate(registry, candidate, Files()).promoted


def run(
    lake: Lake,
    registry: ModelRegistry,
    model: LoggedModel,
    training_set: TrainingSet,
    gate: Gate | None = None,
    images_per_commit: int = 0,
) -> EvaluationResult:
    challenger = Challenger(model.run_id, model.model_uri, model.digest)
    return evaluate_challenger(lake, registry, training_set, challenger, gate or Gate(), images_per_commit)


def make_test_set(folder: Path, images: Sequence[LabeledImage], segments: int = 1) -> TrainingSet:
    return make_training_set(folder, {SplitName.TEST: images}, segments=segments, rows=ROWS)


def hash_of(image: LabeledImage) -> str:
    return sha256(image[0]).hexdigest()


def insert_requests(lake: Lake, images: Sequence[LabeledImage], reason: str) -> None:
    """Insert the requests of a batch, which people have answered."""
    now = datetime.now(UTC)
    rows = [
        ("file:/any.jpg", hash_of(image), reason, "folder", reason, "any", "1", 3, 0.5, now, "labeled", now)
        for image in images
    ]
    append_rows(lake, LABELING_REQUESTS, rows)


def evaluated(lake: Lake, model: LoggedModel) -> Counter[str]:
    rows = lake.read(EVALUATIONS).where(f"model_digest = '{model.digest}'").select("content_sha256").collect()
    return Counter(row["content_sha256"] for row in rows)


def test_accuracies_match_the_models_predictions_of_the_test_images(
    shared_lake: Lake, registry: ModelRegistry, good: LoggedModel, poor: LoggedModel, training_set: TrainingSet
) -> None:
    make_champion(registry, poor, training_set)
    # A class that was merged since the champion's training counts as the other one.
    constant = LABELS[1]

    merged = training_set.model_copy(update={"merged": {LABELS[0]: constant}})
    result = run(shared_lake, registry, good, merged)

    loaded = registry.load(good.model_uri, good.digest)
    predicted = [loaded.predict([content])[0].label for content, _ in TEST]
    by_challenger = [constant if label == LABELS[0] else label for label in predicted]
    assert result.challenger.pairs == Counter(zip([label for _, label in TEST], by_challenger, strict=True))
    assert result.challenger.accuracy > 0.7
    assert result.champion is not None
    assert result.champion.pairs == Counter((label, constant) for _, label in TEST)
    assert result.paired is not None
    assert (result.paired.won, result.paired.lost) == (
        sum(ours == label != constant for ours, (_, label) in zip(by_challenger, TEST, strict=True)),
        sum(ours != label == constant for ours, (_, label) in zip(by_challenger, TEST, strict=True)),
    )
    assert result.paired.total == len(TEST)
    assert result.compared_with == "1"
    assert result.decision.promote


def test_each_model_classifies_each_test_image_once(
    lake: Lake, registry: ModelRegistry, good: LoggedModel, poor: LoggedModel, tmp_path: Path
) -> None:
    """A training on one more image costs the champion one image."""
    first = make_test_set(tmp_path / "first", TEST[:20])
    second = make_training_set(tmp_path / "second", {SplitName.TEST: TEST[20:21]}, rows=ROWS, earlier=first)
    make_champion(registry, poor, first)

    before = run(lake, registry, poor, first)
    after = run(lake, registry, good, second)
    again = run(lake, registry, good, second)

    assert before.new_images == {"challenger": 20}
    assert after.new_images == {"challenger": 21, "champion": 1}
    assert again.new_images == {"challenger": 0, "champion": 0}
    assert again.comparison.groups == after.comparison.groups
    everything = dict.fromkeys(map(hash_of, TEST[:21]), 1)
    assert evaluated(lake, good) == evaluated(lake, poor) == everything


@pytest.mark.slow
def test_two_evaluations_of_a_model_at_once_leave_one_prediction_of_each_image(
    lake: Lake, registry: ModelRegistry, good: LoggedModel, tmp_path: Path
) -> None:
    members = make_test_set(tmp_path / "set", TEST, segments=6)

    with ThreadPoolExecutor(2) as threads:
        running = [threads.submit(run, lake, registry, good, members, images_per_commit=1) for _ in range(2)]
        results = [each.result() for each in running]

    assert evaluated(lake, good) == dict.fromkeys(map(hash_of, TEST), 1)
    assert [result.challenger.total for result in results] == [len(TEST)] * 2


@pytest.mark.slow
def test_killed_evaluation_goes_on_where_it_was(
    lake: Lake, registry: ModelRegistry, good: LoggedModel, tracking: str, tmp_path: Path
) -> None:
    members = make_test_set(tmp_path / "set", TEST, segments=3)
    arguments = (lake.root, tracking, members.uri, good.run_id, good.model_uri, good.digest)

    killed = subprocess.run(
        [sys.executable, "-m", "tests.support.kills.killed_evaluation", *arguments], cwd=REPOSITORY, check=False
    )
    kept = evaluated(lake, good)
    result = run(lake, registry, good, members)

    assert killed.returncode == -9
    assert len(kept) == len(TEST) / 3
    assert result.new_images == {"challenger": len(TEST) - len(kept)}
    assert evaluated(lake, good) == dict.fromkeys(map(hash_of, TEST), 1)


def test_images_that_a_model_requested_do_not_decide(
    lake: Lake, registry: ModelRegistry, good: LoggedModel, poor: LoggedModel, training_set: TrainingSet
) -> None:
    """Images that nobody requested, and audits, decide. Here the champion is right on all of them."""
    make_champion(registry, poor, training_set)
    right = [image for image in TEST if image[1] == LABELS[0]]
    insert_requests(lake, [image for image in TEST if image[1] != LABELS[0]], UNCERTAIN)
    insert_requests(lake, right[:3], AUDIT)

    result = run(lake, registry, good, training_set)

    groups = result.comparison.groups
    assert groups[ImageGroup.REQUESTED].challenger.total == len(TEST) - len(right)
    assert groups[ImageGroup.MEASURED].challenger.total == len(right)
    requested = groups[ImageGroup.REQUESTED].paired
    assert requested is not None
    assert requested.won > 50
    assert not result.decision.promote


def test_images_since_the_champions_promotion_are_counted_apart(
    lake: Lake, registry: ModelRegistry, good: LoggedModel, poor: LoggedModel, tmp_path: Path
) -> None:
    """An image is as new as its label."""
    images = TEST[:20]
    members = make_test_set(tmp_path / "set", images)
    make_champion(registry, poor, members)
    at_once = run(lake, registry, good, members)
    paths = {
        row["content_sha256"]: row["path"]
        for row in lake.spark.read.parquet(f"{members.uri}/members.parquet").collect()
    }
    before, after = datetime.now(UTC) - timedelta(days=1), datetime.now(UTC) + timedelta(days=1)
    files = [
        (paths[digest], "any", 1, time, None, digest, digest, IMAGE, None, 3, time.date(), time)
        for digest, time in zip(map(hash_of, images), [after] * 4 + [before] * 16, strict=True)
    ]
    append_rows(lake, FILES, files)
    append_rows(
        lake, tables.LABELS, [(paths[hash_of(each)], hash_of(each), each[1], "any", after) for each in images[3:6]]
    )
    # A label of another content of the path.
    append_rows(lake, tables.LABELS, [(paths[hash_of(images[9])], hash_of(images[8]), 3, "any", after)])

    later = run(lake, registry, good, members)

    assert at_once.comparison.groups[ImageGroup.FRESH].challenger.total == 0
    fresh = later.comparison.groups[ImageGroup.FRESH]
    assert fresh.champion is not None
    assert fresh.paired is not None
    assert fresh.challenger.total == fresh.champion.total == fresh.paired.total == 6
    assert later.challenger.total == 20
    assert later.comparison.weeks_since_promotion == pytest.approx(0, abs=0.1)


def test_images_that_trained_the_champion_are_left_out(
    shared_lake: Lake,
    registry: ModelRegistry,
    good: LoggedModel,
    poor: LoggedModel,
    training_set: TrainingSet,
    tmp_path: Path,
) -> None:
    """They do not exist within a lake, but a champion may come from another one."""
    of_champion = {SplitName.TRAIN: TEST[:5], SplitName.VALIDATION: TEST[5:7], SplitName.TEST: TEST[7:30]}
    elsewhere = make_training_set(tmp_path / "elsewhere", of_champion)
    make_champion(registry, poor, elsewhere)

    result = run(shared_lake, registry, good, training_set)
    shutil.rmtree(tmp_path / "elsewhere")
    without = run(shared_lake, registry, good, training_set)

    write_report(result, str(tmp_path / "report.html"))
    assert "7 other test images do not count" in (tmp_path / "report.html").read_text()
    assert (result.left_out, result.challenger.total) == (7, len(TEST) - 7)
    assert (without.left_out, without.challenger.total) == (0, len(TEST))


def test_test_images_that_were_all_requested_raise_error(
    lake: Lake, registry: ModelRegistry, poor: LoggedModel, tmp_path: Path
) -> None:
    insert_requests(lake, TEST[:2], UNCERTAIN)

    with pytest.raises(InputError, match=r"^training_set: no test image .* audit_fraction"):
        run(lake, registry, poor, make_test_set(tmp_path / "set", TEST[:2]))


def test_worse_challenger_is_not_promoted(
    shared_lake: Lake, registry: ModelRegistry, good: LoggedModel, poor: LoggedModel, training_set: TrainingSet
) -> None:
    make_champion(registry, good, training_set)

    result = run(shared_lake, registry, poor, training_set)

    assert not result.decision.promote
    assert result.champion_accuracy > result.challenger.accuracy
    assert "version 1, the champion" in result.decision.reason


def test_first_model_is_compared_with_the_most_frequent_class_only(
    shared_lake: Lake, registry: ModelRegistry, good: LoggedModel, poor: LoggedModel, training_set: TrainingSet
) -> None:
    """The poor model always predicts one class."""
    result = run(shared_lake, registry, good, training_set)
    poor_result = run(shared_lake, registry, poor, training_set)

    assert not poor_result.decision.promote
    assert poor_result.decision.reason.startswith("there is no champion yet, and its accuracy of")
    assert (result.decision.promote, result.champion, result.compared_with) == (True, None, "")
    assert result.champion_accuracy == 0.0


def test_first_model_below_the_minimum_accuracy_is_not_promoted(
    shared_lake: Lake, registry: ModelRegistry, good: LoggedModel, training_set: TrainingSet
) -> None:
    assert not run(shared_lake, registry, good, training_set, Gate(minimum_accuracy=0.999)).decision.promote


def test_manual_promotion_does_not_promote_a_better_model(
    shared_lake: Lake, registry: ModelRegistry, good: LoggedModel, poor: LoggedModel, training_set: TrainingSet
) -> None:
    make_champion(registry, poor, training_set)

    decision = run(shared_lake, registry, good, training_set, Gate(promote=Promotion.MANUAL)).decision

    assert not decision.promote
    assert decision.reason.startswith("promotion is manual; its accuracy is")


def test_reason_names_classes_with_low_recall(
    shared_lake: Lake, registry: ModelRegistry, poor: LoggedModel, training_set: TrainingSet
) -> None:
    decision = run(
        shared_lake, registry, poor, training_set, Gate(minimum_class_recall=0.2, minimum_class_images=1)
    ).decision

    assert not decision.promote
    assert (
        "; its recall is 0.00% for class class-5, 0.00% for class class-7, 0.00% for class class-9" in decision.reason
    )


def test_champion_does_not_replace_itself(
    shared_lake: Lake, registry: ModelRegistry, good: LoggedModel, training_set: TrainingSet
) -> None:
    make_champion(registry, good, training_set)

    result = run(shared_lake, registry, good, training_set)

    assert not result.decision.promote
    assert result.decision.reason == "it is the champion already, as version 1"
    assert result.champion == result.challenger


def test_evaluation_logs_test_accuracy_to_the_models_mlflow_run(
    shared_lake: Lake, registry: ModelRegistry, good: LoggedModel, training_set: TrainingSet, tracking: str
) -> None:
    result = run(shared_lake, registry, good, training_set)

    metrics = MlflowClient(tracking).get_run(good.run_id).data.metrics
    assert metrics == {
        "test_accuracy": result.challenger.accuracy,
        "test_balanced_accuracy": result.challenger.balanced_accuracy,
        "test_macro_f1": result.challenger.macro_f1,
        "test_images": len(TEST),
    }


def test_training_set_without_test_images_raises_error(
    shared_lake: Lake, registry: ModelRegistry, good: LoggedModel, tmp_path: Path
) -> None:
    empty = make_training_set(tmp_path, {SplitName.TRAIN: TRAIN[:2]})

    with pytest.raises(InputError, match=r"^training_set: '.*' has no test images"):
        run(shared_lake, registry, good, empty)


def test_model_with_another_digest_raises_error(
    lake: Lake, registry: ModelRegistry, good: LoggedModel, poor: LoggedModel, training_set: TrainingSet
) -> None:
    with pytest.raises(InputError, match="differ from the registered ones"):
        run(lake, registry, LoggedModel(good.run_id, good.model_uri, poor.digest), training_set)


def test_report_and_artifacts_show_the_mistakes(
    shared_lake: Lake,
    registry: ModelRegistry,
    good: LoggedModel,
    poor: LoggedModel,
    training_set: TrainingSet,
    tmp_path: Path,
) -> None:
    make_champion(registry, poor, training_set)
    result = run(shared_lake, registry, good, training_set)
    metrics, confusion = Metrics(), ClassificationMetrics()

    log_metrics(result, metrics, confusion)
    write_report(result, str(tmp_path / "report.html"))

    assert metrics.metadata["accuracy"] == result.challenger.accuracy
    assert metrics.metadata["champion_accuracy"] == result.champion_accuracy
    assert metrics.metadata["gain"] == pytest.approx(result.challenger.accuracy - result.champion_accuracy)
    matrix = confusion.metadata["confusionMatrix"]
    assert [category["displayName"] for category in matrix["annotationSpecs"]] == [f"class-{label}" for label in LABELS]
    counts = [row["row"] for row in matrix["rows"]]
    assert sum(map(sum, counts)) == len(TEST)
    assert sum(row[index] for index, row in enumerate(counts)) == result.challenger.correct
    page = (tmp_path / "report.html").read_text()
    assert result.decision.reason in page
    assert all(check.measured in page for check in result.decision.checks)
    assert result.mistakes
    assert all(mistake.path in page for mistake in result.mistakes)
    assert [mistake.score for mistake in result.mistakes] == sorted(
        (mistake.score for mistake in result.mistakes), reverse=True
    )


@pytest.mark.slow
def test_image_that_crashes_the_model_counts_as_a_mistake_and_the_others_are_evaluated(
    shared_lake: Lake,
    registry: ModelRegistry,
    good: LoggedModel,
    training_set: TrainingSet,
    tracking: str,
    tmp_path: Path,
) -> None:
    fatal, label = TEST[10]
    crashing = log_classifier(tracking, None, AbortingClassifier(LABELS, fatal))

    result = run(shared_lake, registry, crashing, training_set)

    assert result.challenger.total == len(TEST)
    assert result.challenger.pairs[label, None] == 1
    assert result.challenger.unscored == 1
    ((path, error),) = result.failures
    assert error == "scoring ended with signal 6 (SIGABRT)"
    write_report(result, str(tmp_path / "report.html"))
    page = (tmp_path / "report.html").read_text()
    assert path in page
    assert error in page

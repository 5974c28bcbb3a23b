"""Comparison of challenger and champion on the same test images."""

from collections import Counter
from pathlib import Path

import pytest
from kfp.dsl import ClassificationMetrics, Metrics
from mlflow import MlflowClient

from components.errors import InputError
from components.evaluate_classifier.evaluate import Challenger, EvaluationResult, evaluate_challenger
from components.evaluate_classifier.report import log_metrics, write_report
from components.parameters import Gate
from components.parameters.gate import Promotion
from components.register_model.register import Candidate, register_candidate
from components.registry.model_registry import ModelRegistry
from components.storage.files import Files
from components.training_set.manifest import SplitName, TrainingSet
from tests.support.saved_model_factory import (
    AbortingClassifier,
    LoggedModel,
    constant_classifier,
    log_classifier,
    nearest_mean_classifier,
)
from tests.support.tracking import make_tracking
from tests.support.training_set_factory import digits, make_training_set

TRAIN = digits(200)
# Enough images for several batches in each of three files.
TEST = digits(350)[200:]
LABELS = sorted({label for _, label in TRAIN})


@pytest.fixture(scope="module")
def training_set(tmp_path_factory: pytest.TempPathFactory) -> TrainingSet:
    return make_training_set(tmp_path_factory.mktemp("set"), {SplitName.TRAIN: TRAIN, SplitName.TEST: TEST}, segments=3)


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_tracking(tmp_path_factory.mktemp("mlflow"))


@pytest.fixture(scope="module")
def good(tracking: str, tmp_path_factory: pytest.TempPathFactory) -> LoggedModel:
    return log_classifier(tracking, tmp_path_factory.mktemp("good"), nearest_mean_classifier(TRAIN))


@pytest.fixture(scope="module")
def poor(tracking: str, good: LoggedModel) -> LoggedModel:
    return log_classifier(tracking, None, constant_classifier(LABELS, LABELS[0]))


@pytest.fixture
def registry(tracking: str, request: pytest.FixtureRequest) -> ModelRegistry:
    return ModelRegistry(tracking, request.node.name)


def make_champion(registry: ModelRegistry, model: LoggedModel, training_set: TrainingSet) -> None:
    candidate = Candidate(model.run_id, model.model_uri, model.digest, training_set.uri, 0.5, True, "", "")
    assert register_candidate(registry, candidate, Files()).promoted


def run(
    registry: ModelRegistry, model: LoggedModel, training_set: TrainingSet, gate: Gate | None = None
) -> EvaluationResult:
    challenger = Challenger(model.run_id, model.model_uri, model.digest)
    return evaluate_challenger(registry, training_set, challenger, gate or Gate(), Files())


def test_accuracies_match_the_models_predictions_of_the_test_images(
    registry: ModelRegistry, good: LoggedModel, poor: LoggedModel, training_set: TrainingSet
) -> None:
    make_champion(registry, poor, training_set)
    # A class that was merged since the champion's training counts as the other one.
    constant = LABELS[1]

    result = run(registry, good, training_set.model_copy(update={"merged": {LABELS[0]: constant}}))

    loaded = registry.load(good.model_uri, good.digest)
    predicted = [loaded.predict([content])[0].label for content, _ in TEST]
    assert result.challenger.pairs == Counter(zip([label for _, label in TEST], predicted, strict=True))
    assert result.challenger.accuracy > 0.8
    assert result.champion is not None
    assert result.champion.pairs == Counter((label, constant) for _, label in TEST)
    assert result.paired is not None
    assert (result.paired.won, result.paired.lost) == (
        sum(ours == label != constant for ours, (_, label) in zip(predicted, TEST, strict=True)),
        sum(ours != label == constant for ours, (_, label) in zip(predicted, TEST, strict=True)),
    )
    assert result.paired.total == len(TEST)
    assert result.compared_with == "1"
    assert result.decision.promote


def test_worse_challenger_is_not_promoted(
    registry: ModelRegistry, good: LoggedModel, poor: LoggedModel, training_set: TrainingSet
) -> None:
    make_champion(registry, good, training_set)

    result = run(registry, poor, training_set)

    assert not result.decision.promote
    assert result.champion_accuracy > result.challenger.accuracy
    assert "version 1, the champion" in result.decision.reason


def test_first_model_is_compared_with_the_most_frequent_class_only(
    registry: ModelRegistry, good: LoggedModel, poor: LoggedModel, training_set: TrainingSet
) -> None:
    """The poor model always predicts one class."""
    result = run(registry, good, training_set)
    poor_result = run(registry, poor, training_set)

    assert not poor_result.decision.promote
    assert poor_result.decision.reason.startswith("there is no champion yet, and its accuracy of")
    assert (result.decision.promote, result.champion, result.compared_with) == (True, None, "")
    assert result.champion_accuracy == 0.0


def test_first_model_below_the_minimum_accuracy_is_not_promoted(
    registry: ModelRegistry, good: LoggedModel, training_set: TrainingSet
) -> None:
    assert not run(registry, good, training_set, Gate(minimum_accuracy=0.999)).decision.promote


def test_manual_promotion_does_not_promote_a_better_model(
    registry: ModelRegistry, good: LoggedModel, poor: LoggedModel, training_set: TrainingSet
) -> None:
    make_champion(registry, poor, training_set)

    decision = run(registry, good, training_set, Gate(promote=Promotion.MANUAL)).decision

    assert not decision.promote
    assert decision.reason.startswith("promotion is manual; its accuracy is")


def test_reason_names_classes_with_low_recall(
    registry: ModelRegistry, poor: LoggedModel, training_set: TrainingSet
) -> None:
    decision = run(registry, poor, training_set, Gate(minimum_class_recall=0.2, minimum_class_images=1)).decision

    assert not decision.promote
    assert (
        "; its recall is 0.00% for class class-5, 0.00% for class class-7, 0.00% for class class-9" in decision.reason
    )


def test_champion_does_not_replace_itself(
    registry: ModelRegistry, good: LoggedModel, training_set: TrainingSet
) -> None:
    make_champion(registry, good, training_set)

    result = run(registry, good, training_set)

    assert not result.decision.promote
    assert result.decision.reason == "it is the champion already, as version 1"
    assert result.champion == result.challenger


def test_evaluation_logs_test_accuracy_to_the_models_mlflow_run(
    registry: ModelRegistry, good: LoggedModel, training_set: TrainingSet, tracking: str
) -> None:
    result = run(registry, good, training_set)

    metrics = MlflowClient(tracking).get_run(good.run_id).data.metrics
    assert metrics == {"test_accuracy": result.challenger.accuracy, "test_images": len(TEST)}


def test_training_set_without_test_images_raises_error(
    registry: ModelRegistry, good: LoggedModel, tmp_path: Path
) -> None:
    empty = make_training_set(tmp_path, {SplitName.TRAIN: TRAIN[:2]})

    with pytest.raises(InputError, match=r"^training_set: '.*' has no test images"):
        run(registry, good, empty)


def test_model_with_another_digest_raises_error(
    registry: ModelRegistry, good: LoggedModel, poor: LoggedModel, training_set: TrainingSet
) -> None:
    with pytest.raises(InputError, match="differ from the registered ones"):
        run(registry, LoggedModel(good.run_id, good.model_uri, poor.digest), training_set)


def test_report_and_artifacts_show_the_mistakes(
    registry: ModelRegistry, good: LoggedModel, poor: LoggedModel, training_set: TrainingSet, tmp_path: Path
) -> None:
    make_champion(registry, poor, training_set)
    result = run(registry, good, training_set)
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
    registry: ModelRegistry, good: LoggedModel, training_set: TrainingSet, tracking: str, tmp_path: Path
) -> None:
    fatal, label = TEST[10]
    crashing = log_classifier(tracking, None, AbortingClassifier(LABELS, fatal))

    result = run(registry, crashing, training_set)

    assert result.challenger.total == len(TEST)
    assert result.challenger.pairs[label, None] == 1
    assert result.challenger.unscored == 1
    ((path, error),) = result.failures
    assert error == "scoring ended with signal 6 (SIGABRT)"
    write_report(result, str(tmp_path / "report.html"))
    page = (tmp_path / "report.html").read_text()
    assert path in page
    assert error in page

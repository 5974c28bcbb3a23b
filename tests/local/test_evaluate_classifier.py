"""Challenger against champion: both on the same images, counted right, and told."""

from collections import Counter
from pathlib import Path

import pytest
from kfp.dsl import ClassificationMetrics, Metrics
from mlflow import MlflowClient

from components.build_training_set.training_set import SplitName, TrainingSet
from components.errors import InputError
from components.evaluate_classifier.evaluate import Challenger, EvaluationResult, evaluate_challenger
from components.evaluate_classifier.gate import Gate, Mode
from components.evaluate_classifier.report import log_metrics, write_report
from components.register_model.register import Candidate, register_candidate
from components.register_model.registry import ModelRegistry
from tests.local.saved_model_factory import LoggedModel, constant_classifier, log_classifier, nearest_mean_classifier
from tests.local.training_set_factory import digits, make_training_set

TRAIN = digits(200)
# More than three files of one batch each.
TEST = digits(350)[200:]
LABELS = sorted({label for _, label in TRAIN})


@pytest.fixture(scope="module")
def training_set(tmp_path_factory: pytest.TempPathFactory) -> TrainingSet:
    return make_training_set(tmp_path_factory.mktemp("set"), {SplitName.TRAIN: TRAIN, SplitName.TEST: TEST}, files=3)


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


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
    assert register_candidate(registry, candidate).promoted


def run(
    registry: ModelRegistry, model: LoggedModel, training_set: TrainingSet, gate: Gate | None = None
) -> EvaluationResult:
    challenger = Challenger(model.run_id, model.model_uri, model.digest)
    return evaluate_challenger(registry, training_set, challenger, gate or Gate())


def test_accuracies_are_what_the_models_say_of_each_test_image(
    registry: ModelRegistry, good: LoggedModel, poor: LoggedModel, training_set: TrainingSet
) -> None:
    make_champion(registry, poor, training_set)

    result = run(registry, good, training_set)

    loaded = registry.load(good.model_uri, good.digest)
    said = [loaded.predict([content])[0].label for content, _ in TEST]
    assert result.challenger.pairs == Counter(zip([label for _, label in TEST], said, strict=True))
    assert result.challenger.accuracy > 0.8
    assert result.champion is not None
    assert result.champion.pairs == Counter((label, LABELS[0]) for _, label in TEST)
    assert result.paired is not None
    assert (result.paired.won, result.paired.lost) == (
        sum(each == label != LABELS[0] for each, (_, label) in zip(said, TEST, strict=True)),
        sum(each != label == LABELS[0] for each, (_, label) in zip(said, TEST, strict=True)),
    )
    assert result.paired.total == len(TEST)
    assert result.compared_with == "1"
    assert result.decision.promote


def test_a_model_that_is_not_better_does_not_take_the_champions_place(
    registry: ModelRegistry, good: LoggedModel, poor: LoggedModel, training_set: TrainingSet
) -> None:
    make_champion(registry, good, training_set)

    result = run(registry, poor, training_set)

    assert not result.decision.promote
    assert result.champion_accuracy > result.challenger.accuracy
    assert "version 1, the champion" in result.decision.reason


def test_the_first_model_is_compared_with_nothing(
    registry: ModelRegistry, poor: LoggedModel, training_set: TrainingSet
) -> None:
    result = run(registry, poor, training_set)

    assert (result.decision.promote, result.champion, result.compared_with) == (True, None, "")
    assert result.champion_accuracy == 0.0


def test_the_first_model_needs_the_minimum(
    registry: ModelRegistry, poor: LoggedModel, training_set: TrainingSet
) -> None:
    assert not run(registry, poor, training_set, Gate(minimum_accuracy=0.5)).decision.promote


def test_manual_leaves_a_better_model_to_a_person(
    registry: ModelRegistry, good: LoggedModel, poor: LoggedModel, training_set: TrainingSet
) -> None:
    make_champion(registry, poor, training_set)

    decision = run(registry, good, training_set, Gate(Mode.MANUAL)).decision

    assert not decision.promote
    assert decision.reason.startswith("promotion is manual; its accuracy of")


def test_a_class_that_the_model_does_not_find_is_named_in_the_reason(
    registry: ModelRegistry, poor: LoggedModel, training_set: TrainingSet
) -> None:
    decision = run(registry, poor, training_set, Gate(minimum_class_recall=0.2, minimum_class_images=1)).decision

    assert not decision.promote
    assert decision.reason.startswith("it finds 0.00% of class class-5, 0.00% of class class-7, 0.00% of class class-9")


def test_the_champion_does_not_replace_itself(
    registry: ModelRegistry, good: LoggedModel, training_set: TrainingSet
) -> None:
    make_champion(registry, good, training_set)

    result = run(registry, good, training_set)

    assert not result.decision.promote
    assert result.decision.reason == "it is the champion already, as version 1"
    assert result.champion == result.challenger


def test_the_models_run_in_mlflow_has_its_test_accuracy(
    registry: ModelRegistry, good: LoggedModel, training_set: TrainingSet, tracking: str
) -> None:
    result = run(registry, good, training_set)

    metrics = MlflowClient(tracking).get_run(good.run_id).data.metrics
    assert metrics == {"test_accuracy": result.challenger.accuracy, "test_images": len(TEST)}


def test_a_training_set_without_test_images_is_refused(
    registry: ModelRegistry, good: LoggedModel, tmp_path: Path
) -> None:
    empty = make_training_set(tmp_path, {SplitName.TRAIN: TRAIN[:2]}, files=1)

    with pytest.raises(InputError, match=r"^training_set: '.*' has no test images"):
        run(registry, good, empty)


def test_a_model_of_another_digest_is_refused(
    registry: ModelRegistry, good: LoggedModel, poor: LoggedModel, training_set: TrainingSet
) -> None:
    with pytest.raises(InputError, match="are not those that were registered"):
        run(registry, LoggedModel(good.run_id, good.model_uri, poor.digest), training_set)


def test_page_and_artifacts_show_the_mistakes(
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
    assert [each["displayName"] for each in matrix["annotationSpecs"]] == [f"class-{label}" for label in LABELS]
    counts = [row["row"] for row in matrix["rows"]]
    assert sum(map(sum, counts)) == len(TEST)
    assert sum(row[index] for index, row in enumerate(counts)) == result.challenger.correct
    page = (tmp_path / "report.html").read_text()
    assert result.decision.reason in page
    assert all(check.found in page for check in result.decision.checks)
    assert result.mistakes
    assert all(mistake.path in page for mistake in result.mistakes)
    assert [each.score for each in result.mistakes] == sorted((each.score for each in result.mistakes), reverse=True)

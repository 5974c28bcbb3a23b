"""Evaluate the challenger and the champion on the test images of one training set.

The table `groups` keeps the split of each image for ever, so the champion was not trained on these images either.
Each model classifies each image once, ever: see `evaluations`.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pyspark.sql import Row

from components.errors import InputError
from components.evaluate_classifier.compare import compare, read_test_images
from components.evaluate_classifier.comparison import Comparison, summary_metrics
from components.evaluate_classifier.evaluations import Evaluated, evaluate_missing
from components.evaluate_classifier.gate import Decision, decide
from components.evaluate_classifier.segment_rows import SegmentRow, read_contents
from components.evaluate_classifier.tally import Paired, Tally
from components.lake import Lake
from components.parameters import Gate
from components.registry.model_registry import ModelRegistry
from components.registry.promotions import record_promotion
from components.settings import Settings
from components.spark.session import spark_session
from components.training_set.manifest import SplitName, TrainingSet

# Keys of `EvaluationResult.new_images`.
CHALLENGER = "challenger"
CHAMPION = "champion"

# Maximum number of mistakes, and of failures, in a result.
_EXAMPLES = 24


@dataclass(frozen=True)
class Challenger:
    """The new model.

    Attributes:
        run_id: MLflow run that trained the model.
        model_uri: URI of the logged model.
        digest: SHA-256 of the model's SavedModel.
    """

    run_id: str
    model_uri: str
    digest: str


class Mistake(NamedTuple):
    """An image that the challenger misclassified. Mistakes are ordered by score.

    Attributes:
        score: Probability that the challenger assigns to the predicted class, 0..1.
        path: Key of the image in the lake.
        true: True class id.
        predicted: Predicted class id.
        content: The image file.
    """

    score: float
    path: str
    true: int
    predicted: int
    content: bytes


@dataclass(frozen=True)
class EvaluationResult:
    """Predictions of both models, and the gate's decision.

    Attributes:
        training_set: The training set whose test images were used.
        decision: The gate's decision.
        comparison: Predictions of both models by group of images.
        new_images: Number of test images that each model classified in this run, by `CHALLENGER` and `CHAMPION`. The
            predictions for all other test images are from earlier evaluations.
        mistakes: The challenger's mistakes with the highest scores, highest first, at most 24.
        failures: Path and error of images that the challenger could not classify, at most 24.
        left_out: Number of test images that do not count, because the champion was trained on them.
    """

    training_set: TrainingSet
    decision: Decision
    comparison: Comparison
    new_images: Mapping[str, int]
    mistakes: list[Mistake] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    left_out: int = 0

    @property
    def challenger(self) -> Tally:
        """The challenger's predictions of the images that decide."""
        return self.comparison.measured.challenger

    @property
    def champion(self) -> Tally | None:
        """The champion's predictions of the same images; None without a champion."""
        return self.comparison.measured.champion

    @property
    def paired(self) -> Paired | None:
        """Images that only one of the models predicts correctly; None without a champion."""
        return self.comparison.measured.paired

    @property
    def compared_with(self) -> str:
        """Version of the champion; empty without a champion."""
        return self.comparison.champion_version

    @property
    def champion_accuracy(self) -> float:
        """The champion's accuracy, 0..1; 0 without a champion."""
        return self.champion.accuracy if self.champion else 0.0

    def class_name(self, label: int) -> str:
        """Return the unique name of a class, or its id if it has no name."""
        return class_names(self.training_set).get(label, str(label))


def class_names(training_set: TrainingSet) -> dict[int, str]:
    """Return unique class names by class id.

    A name that several classes share is followed by the id.
    """
    names = Counter(item.name for item in training_set.classes)
    return {
        item.label: item.name if names[item.name] == 1 else f"{item.name} ({item.label})"
        for item in training_set.classes
    }


def evaluate(
    settings: Settings,
    training_set: str,
    challenger: Challenger,
    gate: Gate = Gate(),  # noqa: B008 - frozen
) -> EvaluationResult:
    """Compare a new model with the champion, and decide about its promotion.

    Args:
        settings: Settings that name the lake, the registry and the model.
        training_set: URI of the training set with the test images.
        challenger: The new model.
        gate: Thresholds of the decision.

    Raises:
        InputError: There is no lake, no test image counts, or a model's files differ from the registered ones.
    """
    registry = ModelRegistry.open(settings)
    lake = Lake.open(spark_session(settings), settings)
    return evaluate_challenger(lake, registry, TrainingSet.read(training_set, lake.files), challenger, gate)


def evaluate_challenger(
    lake: Lake,
    registry: ModelRegistry,
    training_set: TrainingSet,
    challenger: Challenger,
    gate: Gate = Gate(),  # noqa: B008 - frozen
    images_per_commit: int = 0,
) -> EvaluationResult:
    """Compare a new model with the champion as `evaluate` does, in an open lake and registry.

    Predictions are committed after each `images_per_commit` images; 0 chooses that number.
    """
    if training_set.counts.get(SplitName.TEST, 0) == 0:
        raise InputError(
            f"training_set: '{training_set.uri}' has no test images to compare models on. Ingest more labeled images."
        )
    # Images that arrived after it are counted apart.
    record_promotion(lake, registry)
    champion = registry.champion()
    models = [Evaluated(CHALLENGER, challenger.model_uri, challenger.digest)]
    if champion and champion.digest != challenger.digest:
        models.append(Evaluated(CHAMPION, champion.model_uri, champion.digest))
    test_images = read_test_images(lake, training_set)
    new_images = {
        model.role: evaluate_missing(lake, registry, training_set, test_images, model, images_per_commit)
        for model in models
    }
    compared = compare(lake, training_set, test_images, challenger.digest, champion, _EXAMPLES)
    measured = compared.comparison.measured
    if not measured.challenger.total:
        raise InputError(
            f"training_set: no test image of '{training_set.uri}' was labeled by a folder or in an audit, so models"
            " can't be compared. Ingest more labeled images, or raise audit_fraction of the export."
        )
    decision = decide(gate, compared.comparison, class_names(training_set))
    registry.log_metrics(challenger.run_id, summary_metrics(measured))
    return EvaluationResult(
        training_set,
        decision,
        compared.comparison,
        new_images,
        _with_contents(lake, training_set, compared.mistakes),
        [(row["path"], row["error"]) for row in compared.failures],
        compared.left_out,
    )


def _with_contents(lake: Lake, training_set: TrainingSet, mistakes: list[Row]) -> list[Mistake]:
    """Read the images of mistakes from their segments."""
    rows = sorted(SegmentRow(row["segment"], row["row"], row["content_sha256"]) for row in mistakes)
    locations = {row.segment: training_set.segment_uri(row.segment) for row in rows}
    contents = dict(read_contents(rows, locations, lake.files.access))
    return [
        Mistake(row["score"], row["path"], row["label"], row["predicted"], contents[row["content_sha256"]])
        for row in mistakes
    ]

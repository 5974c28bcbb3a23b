"""Evaluate the challenger and the champion on the test images of one training set.

A hash of its content assigns each image to a split permanently, so the champion was not trained on these images either.
"""

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pyarrow.parquet as pq

from components.errors import InputError
from components.evaluate_classifier.comparison import Comparison, GroupOutcome, ImageGroup, summary_metrics
from components.evaluate_classifier.gate import Decision, decide
from components.evaluate_classifier.tally import Paired, Tally
from components.parameters import Gate
from components.preprocessing.classifier_process import ClassifierProcess
from components.preprocessing.prediction import Prediction
from components.registry.model_registry import ModelRegistry
from components.settings import Settings
from components.storage.files import Files
from components.training_set.manifest import SplitName, TrainingSet

_BATCH_ROWS = 32
_BUFFER_BYTES = 2**20
_MAXIMUM_MISTAKES = 24
_MAXIMUM_FAILURES = 24


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


@dataclass
class EvaluationResult:
    """Predictions of both models, and the gate's decision.

    Attributes:
        training_set: The training set whose test images were used.
        decision: The gate's decision.
        comparison: Predictions of both models by group of images.
        new_images: Number of test images that a model predicted in this run, by model: `challenger` and `champion`.
            The predictions for all other test images are from earlier evaluations.
        mistakes: The challenger's mistakes with the highest scores, highest first, at most 24.
        failures: Path and error of images that the challenger could not score, at most 24.
    """

    training_set: TrainingSet
    decision: Decision
    comparison: Comparison
    new_images: Mapping[str, int]
    mistakes: list[Mistake] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)

    @property
    def challenger(self) -> Tally:
        """The challenger's predictions for the measured images."""
        return self.comparison.measured.challenger

    @property
    def champion(self) -> Tally | None:
        """The champion's predictions for the measured images; None without a champion."""
        return self.comparison.measured.champion

    @property
    def paired(self) -> Paired | None:
        """Measured images that only one of the models predicts correctly; None without a champion."""
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


class _TestImage(NamedTuple):
    path: str
    content: bytes
    label: int


def evaluate(
    settings: Settings,
    training_set: str,
    challenger: Challenger,
    gate: Gate = Gate(),  # noqa: B008 - frozen
) -> EvaluationResult:
    """Compare a new model with the champion, and decide about its promotion.

    Args:
        settings: Settings that name the registry and the model.
        training_set: URI of the training set with the test images.
        challenger: The new model.
        gate: Thresholds of the decision.

    Raises:
        InputError: The training set has no test images, or a model's files differ from the registered ones.
    """
    files = Files.of(settings)
    members = TrainingSet.read(training_set, files)
    return evaluate_challenger(ModelRegistry.open(settings), members, challenger, gate, files)


def evaluate_challenger(
    registry: ModelRegistry, training_set: TrainingSet, challenger: Challenger, gate: Gate, files: Files
) -> EvaluationResult:
    """Compare a new model with the champion as `evaluate` does, in an open registry."""
    if training_set.counts.get(SplitName.TEST, 0) == 0:
        raise InputError(
            f"training_set: '{training_set.uri}' has no test images to compare models on. Ingest more labeled images."
        )
    champion = registry.champion()
    is_challenger = champion is not None and champion.digest == challenger.digest
    with ExitStack() as stack:
        challenger_model = _start(registry, challenger.model_uri, challenger.digest, stack)
        champion_model = None
        if champion and not is_challenger:
            champion_model = _start(registry, champion.model_uri, champion.digest, stack)
        predictions = _predict_test_images(training_set, challenger_model, champion_model, files)
    comparison = Comparison(
        dict.fromkeys(ImageGroup, GroupOutcome(Tally.of(()), None, None))
        | {ImageGroup.MEASURED: predictions.outcome(champion is not None)},
        champion.version if champion else "",
        is_challenger,
    )
    registry.log_metrics(challenger.run_id, summary_metrics(comparison.measured))
    return EvaluationResult(
        training_set,
        decide(gate, comparison, class_names(training_set)),
        comparison,
        dict.fromkeys(("challenger", "champion") if champion_model else ("challenger",), predictions.total),
        sorted(predictions.mistakes, reverse=True),
        predictions.failures,
    )


def _start(registry: ModelRegistry, model_uri: str, digest: str, stack: ExitStack) -> ClassifierProcess:
    """Download a model, and return its process. Both are removed when the stack is closed."""
    folder = Path(stack.enter_context(TemporaryDirectory()))
    saved_model = registry.download(model_uri, digest, folder)
    # A new interpreter, since this process may have used TensorFlow.
    return stack.enter_context(ClassifierProcess.of(saved_model, fork=False))


@dataclass
class _TestPredictions:
    """Predictions for the test images.

    Without a separate champion model, `champion` repeats the challenger's predictions.
    """

    challenger: Counter[tuple[int, int | None]] = field(default_factory=Counter)
    champion: Counter[tuple[int, int | None]] = field(default_factory=Counter)
    paired: Counter[tuple[int, bool, bool]] = field(default_factory=Counter)
    mistakes: list[Mistake] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Number of images."""
        return self.challenger.total()

    def outcome(self, has_champion: bool) -> GroupOutcome:
        """Return the predictions of all images."""
        return GroupOutcome(
            Tally(self.challenger),
            Tally(self.champion) if has_champion else None,
            Paired.of((*key, count) for key, count in self.paired.items()) if has_champion else None,
        )


def _predict_test_images(
    training_set: TrainingSet, challenger: ClassifierProcess, champion: ClassifierProcess | None, files: Files
) -> _TestPredictions:
    """Predict the classes of the test images with both models."""
    predictions = _TestPredictions()
    for images in _read_images(training_set, files):
        contents = [image.content for image in images]
        challenger_predictions = challenger.predict(contents)
        champion_predictions = champion.predict(contents) if champion is not None else challenger_predictions
        for image, ours, theirs in zip(images, challenger_predictions, champion_predictions, strict=True):
            # The champion may know classes that were merged since.
            by_champion = None if theirs.label is None else training_set.merged.get(theirs.label, theirs.label)
            predictions.challenger[image.label, ours.label] += 1
            predictions.champion[image.label, by_champion] += 1
            predictions.paired[image.label, ours.label == image.label, by_champion == image.label] += 1
            if (mistake := _mistake(image, ours)) is not None:
                push = heapq.heappush if len(predictions.mistakes) < _MAXIMUM_MISTAKES else heapq.heappushpop
                push(predictions.mistakes, mistake)
            if ours.error is not None and len(predictions.failures) < _MAXIMUM_FAILURES:
                predictions.failures.append((image.path, ours.error))
        print(f"progress: {predictions.total:,} test images", flush=True)
    return predictions


def _mistake(image: _TestImage, prediction: Prediction) -> Mistake | None:
    if prediction.label is None or prediction.score is None or prediction.label == image.label:
        return None
    return Mistake(prediction.score, image.path, image.label, prediction.label, image.content)


def _read_images(training_set: TrainingSet, files: Files) -> Iterator[list[_TestImage]]:
    for url in training_set.file_urls(SplitName.TEST):  # type: ignore[attr-defined]
        # Each file is one row group. Without these two options, PyArrow would read a whole file into memory.
        with (
            files.open_file(url) as source,
            pq.ParquetFile(source, buffer_size=_BUFFER_BYTES, pre_buffer=False) as file,
        ):
            for batch in file.iter_batches(_BATCH_ROWS, columns=["path", "content", "label"]):
                yield [_TestImage(**row) for row in batch.to_pylist()]

"""Evaluate: the challenger and the champion on the test images of one training set.

Which side an image is on is decided by its content, for ever: the champion was not trained on these images either.
"""

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import pyarrow.parquet as pq

from components.build_training_set.training_set import SplitName, TrainingSet
from components.errors import InputError
from components.evaluate_classifier.gate import Champion, Decision, Gate, decide
from components.evaluate_classifier.tally import Paired, Tally
from components.register_model.registry import ModelRegistry
from components.settings import Settings
from components.storage import files

if TYPE_CHECKING:
    from components.images.classifier import Classifier, Prediction

_BATCH_ROWS = 32
_BUFFER_BYTES = 2**20
_MISTAKES = 24


@dataclass(frozen=True)
class Challenger:
    """The new model.

    Attributes:
        run_id: MLflow run that trained it.
        model_uri: The logged model.
        digest: SHA-256 of its SavedModel.
    """

    run_id: str
    model_uri: str
    digest: str


class Mistake(NamedTuple):
    """An image that the challenger classified wrong. They are ordered by its score, low to high.

    Attributes:
        score: The wrong class' score, 0..1.
        path: Which image it is.
        true: Its class id.
        predicted: The predicted class id.
        content: Its file.
    """

    score: float
    path: str
    true: int
    predicted: int
    content: bytes


@dataclass
class EvaluationResult:
    """What an evaluation found.

    Attributes:
        training_set: Where the images are from.
        decision: What the gate says.
        challenger: What the challenger said of the images.
        champion: What the champion said of them; None if there is none.
        paired: How the challenger did on them beside the champion; None if there is none.
        compared_with: Version of the champion; empty if there is none.
        mistakes: The challenger's mistakes of the highest scores, highest first.
    """

    training_set: TrainingSet
    decision: Decision
    challenger: Tally
    champion: Tally | None
    paired: Paired | None
    compared_with: str
    mistakes: list[Mistake] = field(default_factory=list)

    @property
    def champion_accuracy(self) -> float:
        """The champion's accuracy, 0..1; 0 if there is no champion."""
        return self.champion.accuracy if self.champion else 0.0

    def class_name(self, label: int) -> str:
        """Return a class' name, with its id where others have the same name or it is not of this training set."""
        return class_names(self.training_set).get(label, str(label))


def class_names(training_set: TrainingSet) -> dict[int, str]:
    """Return the classes' names by class id, with the id where others have the same name."""
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
    """Compare a new model with the champion, if there is one, and decide whether it takes its place.

    Args:
        settings: Name the registry and the model.
        training_set: URI of the training set whose test images are taken.
        challenger: The new model.
        gate: The thresholds.

    Raises:
        InputError: There are no test images, or a model's files are not those that were registered.
    """
    return evaluate_challenger(ModelRegistry.open(settings), TrainingSet.read(training_set), challenger, gate)


def evaluate_challenger(
    registry: ModelRegistry, training_set: TrainingSet, challenger: Challenger, gate: Gate
) -> EvaluationResult:
    """Do what `evaluate` does, in a registry that is open."""
    if training_set.counts.get(SplitName.TEST, 0) == 0:
        raise InputError(
            f"training_set: '{training_set.uri}' has no test images to compare models on. Ingest more labelled images."
        )
    champion = registry.champion()
    is_challenger = champion is not None and champion.digest == challenger.digest
    challenger_model = registry.load(challenger.model_uri, challenger.digest)
    champion_model = registry.load(champion.model_uri, champion.digest) if champion and not is_challenger else None

    said = _run(training_set, challenger_model, champion_model)
    against = None
    if champion is not None:
        against = Champion(champion.version, said.by_champion, said.paired, is_challenger)
    decision = decide(gate, said.by_challenger, against, class_names(training_set))
    registry.log_metrics(
        challenger.run_id, {"test_accuracy": said.by_challenger.accuracy, "test_images": said.by_challenger.total}
    )
    return EvaluationResult(
        training_set,
        decision,
        said.by_challenger,
        said.by_champion if champion else None,
        said.paired if champion else None,
        champion.version if champion else "",
        sorted(said.mistakes, reverse=True),
    )


@dataclass
class _Said:
    """What the models said of the test images. Without a champion, its part says what the challenger's does."""

    by_challenger: Tally = field(default_factory=Tally)
    by_champion: Tally = field(default_factory=Tally)
    paired: Paired = field(default_factory=Paired)
    mistakes: list[Mistake] = field(default_factory=list)


def _run(training_set: TrainingSet, challenger: "Classifier", champion: "Classifier | None") -> _Said:
    """Let both models classify the test images."""
    said = _Said()
    for images in _read_images(training_set):
        contents = [image.content for image in images]
        ours = challenger.predict(contents)
        theirs = champion.predict(contents) if champion is not None else ours
        for image, our, their in zip(images, ours, theirs, strict=True):
            said.by_challenger.add(image.label, our.label)
            said.by_champion.add(image.label, their.label)
            said.paired.add(image.label, our.label, their.label)
            if (mistake := _mistake(image, our)) is not None:
                push = heapq.heappush if len(said.mistakes) < _MISTAKES else heapq.heappushpop
                push(said.mistakes, mistake)
        print(f"progress: {said.by_challenger.total:,} test images", flush=True)
    return said


def _mistake(image: _TestImage, prediction: "Prediction") -> Mistake | None:
    if prediction.label is None or prediction.score is None or prediction.label == image.label:
        return None
    return Mistake(prediction.score, image.path, image.label, prediction.label, image.content)


def _read_images(training_set: TrainingSet) -> Iterator[list[_TestImage]]:
    for url in training_set.file_urls(SplitName.TEST):
        # A file is one row group: without these two it would be in memory as a whole.
        with (
            files.open_file(url) as source,
            pq.ParquetFile(source, buffer_size=_BUFFER_BYTES, pre_buffer=False) as file,
        ):
            for batch in file.iter_batches(_BATCH_ROWS, columns=["path", "content", "label"]):
                yield [_TestImage(**row) for row in batch.to_pylist()]

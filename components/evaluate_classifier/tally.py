"""Count predictions by class, and derive accuracy, precision and recall."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class ClassScores(NamedTuple):
    """A model's precision and recall for one class.

    Attributes:
        precision: Of the images predicted as the class, the fraction that belongs to it, 0..1; None without such
            images.
        recall: Of the images of the class, the fraction predicted as the class, 0..1; None without such images.
        images: Number of images of the class.
    """

    precision: float | None
    recall: float | None
    images: int


# Scores of a class without images and without predictions.
UNSEEN = ClassScores(None, None, 0)


@dataclass
class Tally:
    """Counts of images by true and predicted class id.

    The predicted class id of an image that could not be scored, e.g. not decoded, is None.
    """

    pairs: Counter[tuple[int, int | None]] = field(default_factory=Counter)

    def add(self, true: int, predicted: int | None) -> None:
        """Count an image by its true and predicted class id."""
        self.pairs[true, predicted] += 1

    @property
    def total(self) -> int:
        """Number of images."""
        return self.pairs.total()

    @property
    def correct(self) -> int:
        """Number of images predicted correctly."""
        return sum(count for (true, predicted), count in self.pairs.items() if true == predicted)

    @property
    def unscored(self) -> int:
        """Number of images that could not be scored, which count as mistakes."""
        return sum(count for (_, predicted), count in self.pairs.items() if predicted is None)

    @property
    def accuracy(self) -> float:
        """The fraction of images predicted correctly, 0..1."""
        return self.correct / self.total

    def class_scores(self, label: int) -> ClassScores:
        """Return the scores of a class."""
        return self.scores_by_class().get(label, UNSEEN)

    def scores_by_class(self) -> dict[int, ClassScores]:
        """Return the scores of all true or predicted classes, ordered by class id."""
        images: Counter[int] = Counter()
        predictions: Counter[int] = Counter()
        for (true, predicted), count in self.pairs.items():
            images[true] += count
            if predicted is not None:
                predictions[predicted] += count
        scores = {}
        for label in sorted(images | predictions):
            right = self.pairs[label, label]
            scores[label] = ClassScores(
                right / predictions[label] if predictions[label] else None,
                right / images[label] if images[label] else None,
                images[label],
            )
        return scores

    def labels(self) -> list[int]:
        """Return all true or predicted class ids in order."""
        true = {true for true, _ in self.pairs}
        return sorted(true | {predicted for _, predicted in self.pairs if predicted is not None})

    def most_confused(self, limit: int) -> list[int]:
        """Return the ids of the classes with the most mistakes, at most `limit`, in order.

        A mistake counts for both its true and its predicted class. Images that could not be decoded do not count.
        """
        labels = self.labels()
        if len(labels) <= limit:
            return labels
        mistakes: Counter[int] = Counter(dict.fromkeys(labels, 0))
        for (true, predicted), count in self.pairs.items():
            if predicted is not None and true != predicted:
                mistakes[true] += count
                mistakes[predicted] += count
        return sorted(label for label, _ in mistakes.most_common(limit))

    def matrix(self, labels: Sequence[int], others: bool) -> list[list[int]]:
        """Return the confusion matrix, with rows for true and columns for predicted classes.

        Args:
            labels: The classes, in order.
            others: Whether to add a last row and column for all other classes. If False, images of other classes are
                left out.
        """
        index = {label: position for position, label in enumerate(labels)}
        size = len(labels) + others
        matrix = [[0] * size for _ in range(size)]
        for (true, predicted), count in self.pairs.items():
            if predicted is None or (not others and not {true, predicted} <= index.keys()):
                continue
            matrix[index.get(true, size - 1)][index.get(predicted, size - 1)] += count
        return matrix


class PairedCounts(NamedTuple):
    """Paired comparison of two models on the images of one class.

    Attributes:
        won: Number of images that only the first model predicts correctly.
        lost: Number of images that only the second model predicts correctly.
        total: Number of images of the class.
    """

    won: int
    lost: int
    total: int


@dataclass
class Paired:
    """Paired comparison of two models on the same images."""

    _won: Counter[int] = field(default_factory=Counter)
    _lost: Counter[int] = field(default_factory=Counter)
    _images: Counter[int] = field(default_factory=Counter)

    def add(self, true: int, first: int | None, second: int | None) -> None:
        """Count an image by its true class id and the class ids that both models predict."""
        self._images[true] += 1
        if first == true != second:
            self._won[true] += 1
        elif second == true != first:
            self._lost[true] += 1

    @property
    def won(self) -> int:
        """Number of images that only the first model predicts correctly."""
        return self._won.total()

    @property
    def lost(self) -> int:
        """Number of images that only the second model predicts correctly."""
        return self._lost.total()

    @property
    def total(self) -> int:
        """Number of images."""
        return self._images.total()

    @property
    def gain(self) -> float:
        """The first model's accuracy minus the second one's, -1..1."""
        return (self.won - self.lost) / self.total

    def by_class(self) -> dict[int, PairedCounts]:
        """Return the counts by true class id, in order."""
        return {
            label: PairedCounts(self._won[label], self._lost[label], images)
            for label, images in sorted(self._images.items())
        }

"""What a model said of images whose class is known, counted."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class ClassScores(NamedTuple):
    """How a model does on one class.

    Attributes:
        precision: Part of the images it says are of the class that are, 0..1; None if it says so of none.
        recall: Part of the class' images that it finds, 0..1; None if there are none.
        images: Images of the class.
    """

    precision: float | None
    recall: float | None
    images: int


@dataclass
class Tally:
    """Images by true and by predicted class id; the predicted one is None where the image could not be decoded."""

    pairs: Counter[tuple[int, int | None]] = field(default_factory=Counter)

    def add(self, true: int, predicted: int | None) -> None:
        """Count an image."""
        self.pairs[true, predicted] += 1

    @property
    def total(self) -> int:
        """How many images were counted."""
        return self.pairs.total()

    @property
    def correct(self) -> int:
        """How many of them were classified right."""
        return sum(count for (true, predicted), count in self.pairs.items() if true == predicted)

    @property
    def undecodable(self) -> int:
        """How many of them could not be decoded; they count as mistakes."""
        return sum(count for (_, predicted), count in self.pairs.items() if predicted is None)

    @property
    def accuracy(self) -> float:
        """The part that was classified right, 0..1."""
        return self.correct / self.total

    def class_scores(self, label: int) -> ClassScores:
        """Return how the model does on a class."""
        right = self.pairs[label, label]
        said = sum(count for (_, predicted), count in self.pairs.items() if predicted == label)
        images = sum(count for (true, _), count in self.pairs.items() if true == label)
        return ClassScores(right / said if said else None, right / images if images else None, images)

    def labels(self) -> list[int]:
        """Return all class ids, true or predicted, in order."""
        true = {true for true, _ in self.pairs}
        return sorted(true | {predicted for _, predicted in self.pairs if predicted is not None})

    def most_confused(self, limit: int) -> list[int]:
        """Return the class ids that mistakes are about most often, in order; all of them if there are few enough."""
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
        """Return the confusion matrix: a row for each true class, a column for each predicted one.

        Args:
            labels: The classes, in order.
            others: Whether a last row and column stand for all other classes. Without them, those are left out.
        """
        index = {label: position for position, label in enumerate(labels)}
        size = len(labels) + others
        matrix = [[0] * size for _ in range(size)]
        for (true, predicted), count in self.pairs.items():
            if predicted is None or (not others and not {true, predicted} <= index.keys()):
                continue
            matrix[index.get(true, size - 1)][index.get(predicted, size - 1)] += count
        return matrix


@dataclass
class Paired:
    """Images of known class, by which of two models classified them right.

    Attributes:
        won: Images that only the first one did.
        lost: Images that only the second one did.
        total: All images.
    """

    won: int = 0
    lost: int = 0
    total: int = 0

    def add(self, true: int, first: int | None, second: int | None) -> None:
        """Count an image by its class and what the two models said of it."""
        self.total += 1
        self.won += first == true != second
        self.lost += second == true != first

    @property
    def gain(self) -> float:
        """The first one's accuracy minus the second one's, -1..1."""
        return (self.won - self.lost) / self.total

"""Count predictions by class, and derive accuracy, precision, recall and F1.

Both counts are immutable and are made of aggregated rows, e.g. of a Spark groupBy. Each figure is computed once, in
time proportional to the number of different pairs of classes.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import NamedTuple, Self


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

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, 0..1; 0 if either is 0 or None."""
        precision, recall = self.precision or 0.0, self.recall or 0.0
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


# Scores of a class without images and without predictions.
UNSEEN = ClassScores(None, None, 0)


@dataclass(frozen=True)
class Tally:
    """Counts of images by true and predicted class id.

    The predicted class id of an image that could not be scored, e.g. not decoded, is None.

    Attributes:
        pairs: Number of images by true and predicted class id. Do not change it.
    """

    pairs: Counter[tuple[int, int | None]]

    @classmethod
    def of(cls, counts: Iterable[tuple[int, int | None, int]]) -> Self:
        """Return the tally of aggregated counts.

        Args:
            counts: True class id, predicted class id and number of images. Counts of equal pairs are added.
        """
        pairs: Counter[tuple[int, int | None]] = Counter()
        for true, predicted, count in counts:
            pairs[true, predicted] += count
        return cls(pairs)

    @cached_property
    def total(self) -> int:
        """Number of images."""
        return self.pairs.total()

    @cached_property
    def correct(self) -> int:
        """Number of images predicted correctly."""
        return sum(count for (true, predicted), count in self.pairs.items() if true == predicted)

    @cached_property
    def unscored(self) -> int:
        """Number of images that could not be scored, which count as mistakes."""
        return sum(count for (_, predicted), count in self.pairs.items() if predicted is None)

    @property
    def accuracy(self) -> float:
        """The fraction of images predicted correctly, 0..1. The tally must have an image."""
        return self.correct / self.total

    @cached_property
    def balanced_accuracy(self) -> float:
        """Mean recall of the classes that have images, 0..1. The tally must have an image."""
        return fmean(scores.recall for scores in self.scores.values() if scores.recall is not None)

    @cached_property
    def macro_f1(self) -> float:
        """Mean F1 of all true or predicted classes, 0..1. The tally must have an image."""
        return fmean(scores.f1 for scores in self.scores.values())

    @cached_property
    def scores(self) -> Mapping[int, ClassScores]:
        """Scores of all true or predicted classes, ordered by class id."""
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

    @property
    def labels(self) -> list[int]:
        """All true or predicted class ids in order."""
        return list(self.scores)

    def most_confused(self, limit: int) -> list[int]:
        """Return the ids of the classes with the most mistakes, at most `limit`, in order.

        A mistake counts for both its true and its predicted class. Images that could not be decoded do not count.
        """
        labels = self.labels
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
            if predicted is None or not (others or (true in index and predicted in index)):
                continue
            matrix[index.get(true, size - 1)][index.get(predicted, size - 1)] += count
        return matrix


class PairedCounts(NamedTuple):
    """Paired comparison of challenger and champion on the images of one class.

    Attributes:
        won: Number of images that only the challenger predicts correctly.
        lost: Number of images that only the champion predicts correctly.
        total: Number of images of the class.
    """

    won: int
    lost: int
    total: int


@dataclass(frozen=True)
class Paired:
    """Paired comparison of challenger and champion on the same images.

    Attributes:
        classes: Counts by true class id, ordered by class id.
    """

    classes: Mapping[int, PairedCounts]

    @classmethod
    def of(cls, counts: Iterable[tuple[int, bool, bool, int]]) -> Self:
        """Return the comparison of aggregated counts.

        Args:
            counts: True class id, whether the challenger is right, whether the champion is right, and number of
                images. Counts of equal rows are added.
        """
        won: Counter[int] = Counter()
        lost: Counter[int] = Counter()
        images: Counter[int] = Counter()
        for true, challenger_right, champion_right, count in counts:
            images[true] += count
            if challenger_right and not champion_right:
                won[true] += count
            elif champion_right and not challenger_right:
                lost[true] += count
        return cls({label: PairedCounts(won[label], lost[label], total) for label, total in sorted(images.items())})

    @cached_property
    def won(self) -> int:
        """Number of images that only the challenger predicts correctly."""
        return sum(counts.won for counts in self.classes.values())

    @cached_property
    def lost(self) -> int:
        """Number of images that only the champion predicts correctly."""
        return sum(counts.lost for counts in self.classes.values())

    @cached_property
    def total(self) -> int:
        """Number of images."""
        return sum(counts.total for counts in self.classes.values())

    @property
    def discordant(self) -> int:
        """Number of images that exactly one of the models predicts correctly."""
        return self.won + self.lost

    @property
    def gain(self) -> float:
        """The challenger's accuracy minus the champion's, -1..1. The comparison must have an image."""
        return (self.won - self.lost) / self.total

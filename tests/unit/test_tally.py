"""Figures from counts of true and predicted classes match scikit-learn's."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
)

from components.evaluate_classifier.comparison import GroupOutcome, summary_metrics
from components.evaluate_classifier.tally import Paired, PairedCounts, Tally

labels = st.sampled_from([3, 5, 7, 258])
# Scikit-learn warns if a predicted class has no images, and if there is only one class.
pytestmark = pytest.mark.filterwarnings(
    "ignore:y_pred contains classes not in y_true", "ignore:A single label was found"
)


def tally(pairs: list[tuple[int, int]]) -> Tally:
    return Tally.of((true, predicted, 1) for true, predicted in pairs)


@given(st.lists(st.tuples(labels, labels), min_size=1, max_size=60))
def test_figures_match_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    true, predicted = zip(*pairs, strict=True)
    counted = tally(pairs)
    classes = counted.labels
    precision, recall, _, support = precision_recall_fscore_support(
        true, predicted, labels=classes, zero_division=np.nan
    )

    assert counted.accuracy == accuracy_score(true, predicted)
    assert counted.balanced_accuracy == pytest.approx(balanced_accuracy_score(true, predicted))
    assert counted.macro_f1 == pytest.approx(f1_score(true, predicted, average="macro"))
    assert counted.matrix(classes, others=False) == confusion_matrix(true, predicted, labels=classes).tolist()
    for index, label in enumerate(classes):
        scores = counted.scores[label]
        ours = [np.nan if value is None else value for value in scores]
        assert ours == pytest.approx([precision[index], recall[index], support[index]], nan_ok=True)


def test_unscored_image_counts_as_a_mistake() -> None:
    counted = Tally.of([(3, 3, 1), (3, None, 1)])

    assert (counted.total, counted.correct, counted.unscored, counted.accuracy) == (2, 1, 1, 0.5)
    assert counted.scores[3] == (1.0, 0.5, 2)


def test_rare_class_lowers_balanced_accuracy_and_macro_f1_but_hardly_accuracy() -> None:
    counted = Tally.of([(3, 3, 990), (5, 3, 10)])

    metrics = summary_metrics(GroupOutcome(counted, None, None))

    assert metrics == {
        "test_accuracy": 0.99,
        "test_balanced_accuracy": 0.5,
        "test_macro_f1": pytest.approx(0.4975, abs=5e-5),
        "test_images": 1_000,
    }


@given(st.lists(st.tuples(labels, labels | st.none(), st.integers(1, 5)), max_size=30))
def test_aggregated_counts_equal_single_images(counts: list[tuple[int, int | None, int]]) -> None:
    images = [(true, predicted, 1) for true, predicted, count in counts for _ in range(count)]

    assert Tally.of(counts) == Tally.of(images)
    assert Tally.of(counts).pairs == Counter((true, predicted) for true, predicted, _ in images)


@given(st.lists(st.tuples(labels, st.booleans(), st.booleans(), st.integers(1, 5)), min_size=1, max_size=30))
def test_paired_counts_are_those_of_single_images(counts: list[tuple[int, bool, bool, int]]) -> None:
    paired = Paired.of(counts)

    won = sum(count for _, ours, theirs, count in counts if ours and not theirs)
    lost = sum(count for _, ours, theirs, count in counts if theirs and not ours)
    images = sum(count for *_, count in counts)
    assert (paired.won, paired.lost, paired.discordant, paired.total) == (won, lost, won + lost, images)
    assert paired.gain == (won - lost) / images
    for label, of_class in paired.classes.items():
        assert of_class == Paired.of(row for row in counts if row[0] == label).classes[label]


def test_paired_counts_are_ordered_by_class() -> None:
    paired = Paired.of([(9, True, False, 2), (3, False, True, 4), (9, True, True, 1), (9, True, False, 1)])

    assert list(paired.classes.items()) == [(3, PairedCounts(0, 4, 4)), (9, PairedCounts(3, 0, 4))]


def test_confusion_matrix_of_many_classes_groups_all_but_the_most_confused() -> None:
    counted = tally([(1, 1), (2, 2), (3, 4), (3, 4), (4, 3), (1, 2), (2, 3)])

    shown = counted.most_confused(2)

    assert shown == [3, 4]
    assert counted.matrix(shown, others=True) == [[0, 2, 0], [1, 0, 0], [1, 0, 3]]
    assert counted.most_confused(4) == [1, 2, 3, 4]


class _CountingCounter(Counter[tuple[int, int | None]]):
    """A counter that counts how often its items are iterated."""

    passes = 0

    def items(self):  # type: ignore[no-untyped-def]
        self.passes += 1
        return super().items()


def test_scores_of_all_classes_need_one_pass_over_the_counts() -> None:
    pairs = _CountingCounter({(true, true % 50): 1 for true in range(200)})
    counted = Tally(pairs)

    recalls = [counted.scores[label].recall for label in counted.labels]

    assert len(recalls) == 200
    assert (counted.balanced_accuracy, pairs.passes) == (0.25, 1)

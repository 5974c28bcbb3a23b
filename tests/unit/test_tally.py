"""Figures from counts of true and predicted classes match scikit-learn's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

from components.evaluate_classifier.tally import Tally

labels = st.sampled_from([3, 5, 7, 258])


def tally(pairs: list[tuple[int, int]]) -> Tally:
    counted = Tally()
    for true, predicted in pairs:
        counted.add(true, predicted)
    return counted


@given(st.lists(st.tuples(labels, labels), min_size=1, max_size=60))
def test_figures_match_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    true, predicted = zip(*pairs, strict=True)
    counted = tally(pairs)
    classes = counted.labels()
    precision, recall, _, support = precision_recall_fscore_support(
        true, predicted, labels=classes, zero_division=np.nan
    )

    assert counted.accuracy == accuracy_score(true, predicted)
    assert counted.matrix(classes, others=False) == confusion_matrix(true, predicted, labels=classes).tolist()
    for index, label in enumerate(classes):
        scores = counted.class_scores(label)
        ours = [np.nan if value is None else value for value in scores]
        assert ours == pytest.approx([precision[index], recall[index], support[index]], nan_ok=True)


def test_unscored_image_counts_as_a_mistake() -> None:
    counted = tally([(3, 3)])
    counted.add(3, None)

    assert (counted.total, counted.correct, counted.unscored, counted.accuracy) == (2, 1, 1, 0.5)
    assert counted.class_scores(3) == (1.0, 0.5, 2)


def test_confusion_matrix_of_many_classes_groups_all_but_the_most_confused() -> None:
    counted = tally([(1, 1), (2, 2), (3, 4), (3, 4), (4, 3), (1, 2), (2, 3)])

    shown = counted.most_confused(2)

    assert shown == [3, 4]
    assert counted.matrix(shown, others=True) == [[0, 2, 0], [1, 0, 0], [1, 0, 3]]
    assert counted.most_confused(4) == [1, 2, 3, 4]

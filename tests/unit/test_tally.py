"""What is derived from counts of true and predicted classes, against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

from components.evaluate_classifier.tally import Tally

labels = st.sampled_from([3, 5, 7, 258])


def tally(pairs: list[tuple[int, int]]) -> Tally:
    made = Tally()
    for true, predicted in pairs:
        made.add(true, predicted)
    return made


@given(st.lists(st.tuples(labels, labels), min_size=1, max_size=60))
def test_figures_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    true, predicted = zip(*pairs, strict=True)
    made = tally(pairs)
    classes = made.labels()
    precision, recall, _, support = precision_recall_fscore_support(
        true, predicted, labels=classes, zero_division=np.nan
    )

    assert made.accuracy == accuracy_score(true, predicted)
    assert made.matrix(classes, others=False) == confusion_matrix(true, predicted, labels=classes).tolist()
    for index, label in enumerate(classes):
        scores = made.class_scores(label)
        ours = [np.nan if value is None else value for value in scores]
        assert ours == pytest.approx([precision[index], recall[index], support[index]], nan_ok=True)


def test_an_image_that_can_not_be_decoded_is_a_mistake() -> None:
    made = tally([(3, 3)])
    made.add(3, None)

    assert (made.total, made.correct, made.undecodable, made.accuracy) == (2, 1, 1, 0.5)
    assert made.class_scores(3) == (1.0, 0.5, 2)


def test_of_many_classes_the_most_confused_are_shown_and_the_rest_is_one() -> None:
    made = tally([(1, 1), (2, 2), (3, 4), (3, 4), (4, 3), (1, 2), (2, 3)])

    shown = made.most_confused(2)

    assert shown == [3, 4]
    assert made.matrix(shown, others=True) == [[0, 2, 0], [1, 0, 0], [1, 0, 3]]
    assert made.most_confused(4) == [1, 2, 3, 4]

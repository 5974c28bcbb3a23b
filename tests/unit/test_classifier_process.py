"""A classifier in a child process: one image can't stop the others."""

import os
import signal
import time
from pathlib import Path

import pytest

from components.preprocessing.classifier_process import ClassifierProcess, Predict
from components.preprocessing.prediction import Prediction, failed_prediction


def predict_first_byte(contents: list[bytes]) -> list[Prediction]:
    """Return the first byte as the class, or do what a content says."""
    if b"crash" in contents:
        os.kill(os.getpid(), signal.SIGSEGV)
    if b"hang" in contents:
        time.sleep(60)
    if b"large" in contents:
        raise MemoryError
    if len(contents) > 4:
        raise MemoryError
    return [Prediction(content[0], 1.0, 1.0, 0.0, None) for content in contents]


def load() -> Predict:
    return predict_first_byte


def predictions(*labels: int) -> list[Prediction]:
    return [Prediction(label, 1.0, 1.0, 0.0, None) for label in labels]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"crash", "scoring ended with signal 11 (SIGSEGV)"),
        (b"large", "scoring took too much memory"),
    ],
)
@pytest.mark.parametrize("position", [0, 1, 3])
def test_image_that_ends_the_child_gets_an_error_and_the_others_a_prediction(
    content: bytes, error: str, position: int
) -> None:
    contents = [b"\1", b"\2", b"\3"]
    contents.insert(position, content)
    expected = predictions(1, 2, 3)
    expected.insert(position, failed_prediction(error))

    with ClassifierProcess(load, fork=True) as classifier:
        assert classifier.predict(contents) == expected
        assert classifier.predict([b"\4"]) == predictions(4)


def test_image_that_takes_too_long_gets_an_error_and_the_others_a_prediction() -> None:
    with ClassifierProcess(load, fork=True, seconds=0.5) as classifier:
        assert classifier.predict([b"\1", b"hang", b"\2"]) == [
            *predictions(1),
            failed_prediction("scoring took more than 0.5 s"),
            *predictions(2),
        ]


def test_batch_too_large_for_the_memory_is_predicted_image_by_image() -> None:
    with ClassifierProcess(load, fork=True) as classifier:
        assert classifier.predict([b"\1", b"\2", b"\3", b"\4", b"\5"]) == predictions(1, 2, 3, 4, 5)


def test_no_images_start_no_child() -> None:
    with ClassifierProcess(load, fork=True) as classifier:
        assert classifier.predict([]) == []
        assert classifier.pid is None


def test_model_that_cannot_be_loaded_ends_its_caller(tmp_path: Path) -> None:
    with (
        ClassifierProcess.of(tmp_path / "nowhere", fork=False) as classifier,
        pytest.raises(OSError, match="SavedModel file does not exist"),
    ):
        classifier.predict([b"\1"])

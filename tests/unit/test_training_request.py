"""What a training is asked for by, and what makes two of them the same."""

from pathlib import Path
from typing import Any

import pytest

from components.train_classifier.request import TrainingRequest, run_key


def request(folder: Path, **values: Any) -> TrainingRequest:
    return TrainingRequest.make(
        training_set="file:///set",
        mlflow_tracking_uri="sqlite://",
        experiment="tests",
        run_directory=folder,
        features_directory=folder,
        **values,
    )


@pytest.mark.parametrize(
    ("backbone", "weights", "expected"),
    [
        ("xception", "", "imagenet"),
        ("xception", "imagenet", "imagenet"),
        ("xception", "none", "none"),
        ("small", "", "none"),
        ("small", "imagenet", "none"),
    ],
)
def test_empty_weights_are_the_default(tmp_path: Path, backbone: str, weights: str, expected: str) -> None:
    assert request(tmp_path, backbone=backbone, weights=weights).weights == expected


def test_weights_that_are_left_out_are_the_default(tmp_path: Path) -> None:
    assert request(tmp_path).weights == "imagenet"
    assert request(tmp_path, backbone="small").weights == "none"


def test_another_content_of_the_weights_file_is_another_training(tmp_path: Path) -> None:
    file = tmp_path / "weights.h5"
    file.write_bytes(b"first")
    asked = request(tmp_path, weights=str(file))
    first = run_key("set", asked)
    assert run_key("set", asked) == first
    file.write_bytes(b"other")
    assert run_key("set", asked) != first


def test_a_retry_under_another_task_is_the_same_training(tmp_path: Path) -> None:
    keys = {run_key("set", request(tmp_path, parent_run_id=run_id)) for run_id in ("", "a" * 32, "b" * 32)}
    assert len(keys) == 1

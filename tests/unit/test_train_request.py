"""What can be asked of a training, and the checkpoints that it goes on from."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.errors import InputError
from components.train_classifier.checkpoint import Checkpoint, Progress
from components.train_classifier.request import EpochMetrics, TrainingRequest, run_key


def make(tmp_path: Path, **values: Any) -> TrainingRequest:
    given = {
        "training_set": "file:///set",
        "mlflow_tracking_uri": "sqlite:///mlflow.db",
        "experiment": "e",
        "run_directory": str(tmp_path),
        "features_directory": str(tmp_path),
        **values,
    }
    return TrainingRequest.make(**given)


def test_the_references_training_is_the_default(tmp_path: Path) -> None:
    request = make(tmp_path)
    assert request.hyperparameters == {
        "backbone": "xception",
        "weights": "imagenet",
        "image_size": 299,
        "dropout": 0.5,
        "learning_rate": 0.016,
        "batch_size": 32,
        "epochs": 12,
        "patience": 3,
        "seed": 0,
        "ranks": 1,
    }


@pytest.mark.parametrize(("ranks", "epochs"), [(1, 12), (2, 6), (5, 3), (8, 2), (12, 1), (100, 1)])
def test_epochs_are_12_divided_by_the_ranks_rounded_up(tmp_path: Path, ranks: int, epochs: int) -> None:
    assert make(tmp_path, ranks=ranks).epochs == epochs


def test_the_small_backbone_starts_from_random_weights_on_small_images(tmp_path: Path) -> None:
    request = make(tmp_path, backbone="small", weights="imagenet", image_size=0)
    assert (request.weights, request.image_size) == ("none", 32)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"backbone": "resnet"}, r"^backbone: .*'xception' or 'small'"),
        ({"dropout": 1.0}, r"^dropout: .*less than 1, got 1.0"),
        ({"learning_rate": 0.0}, r"^learning_rate: "),
        ({"learning_rate": float("nan")}, r"^learning_rate: "),
        ({"batch_size": 0}, r"^batch_size: "),
        ({"epochs": -1}, r"^epochs: "),
        ({"ranks": 0}, r"^ranks: "),
        ({"ranks": "two"}, r"^ranks: "),
        ({"image_size": 64}, r"^image_size: 64 is less than xception can take. Give at least 71, or 0 for 299\.$"),
        ({"image_size": 8, "backbone": "small"}, r"^image_size: 8 is less than small can take"),
        ({"weights": "/no/such/file"}, r"^weights: no file '/no/such/file'"),
        ({"weights": "/no/such/file", "backbone": "small"}, r"^weights: the small backbone is trained from scratch"),
        ({"optimizer": "sgd"}, r"^optimizer: "),
    ],
)
def test_a_value_that_makes_no_sense_is_told_by_its_name(tmp_path: Path, values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        make(tmp_path, **values)


def test_a_request_survives_its_file(tmp_path: Path) -> None:
    request = make(tmp_path, ranks=3, seed=7, timeline=True)
    uri = f"file://{tmp_path}/request.json"
    request.write(uri)
    assert TrainingRequest.read(uri) == request


def test_a_retry_has_the_key_of_the_first_try_and_another_training_another(tmp_path: Path) -> None:
    first = run_key("id", make(tmp_path))
    assert run_key("id", make(tmp_path / "elsewhere", timeline=True)) == first
    others = [
        run_key("other", make(tmp_path)),
        run_key("id", make(tmp_path, seed=1)),
        run_key("id", make(tmp_path, ranks=2)),
        run_key("id", make(tmp_path, experiment="other")),
        run_key("id", make(tmp_path, mlflow_tracking_uri="http://server")),
    ]
    assert len({first, *others}) == 6


def metrics(epoch: int, val_accuracy: float) -> EpochMetrics:
    return EpochMetrics(
        epoch=epoch, loss=1, accuracy=0.5, val_loss=1, val_accuracy=val_accuracy, images=9, val_images=3, seconds=1
    )


def test_training_stops_after_patience_epochs_without_a_better_one() -> None:
    progress = Progress()
    better = [
        progress.add(metrics(epoch, value), patience=2) for epoch, value in enumerate([0.5, 0.7, 0.7, 0.6], start=1)
    ]
    assert better == [True, True, False, False]
    assert progress.best_epoch == 2
    assert progress.finished


def test_patience_0_never_stops_a_training() -> None:
    progress = Progress()
    for epoch in range(1, 20):
        progress.add(metrics(epoch, 0.5), patience=0)
    assert not progress.finished


def checkpoint(epochs: int) -> Checkpoint:
    made = Checkpoint(variables=[np.full((2, 3), epochs, np.float32), np.asarray(epochs)], best_weights=[np.zeros(4)])
    for epoch in range(1, epochs + 1):
        made.progress.add(metrics(epoch, epoch / 10), patience=0)
    return made


def test_a_checkpoint_comes_back_as_it_was_and_the_newest_two_are_kept(tmp_path: Path) -> None:
    for epochs in (1, 2, 3):
        checkpoint(epochs).write(tmp_path.as_uri())
    assert sorted(file.name for file in tmp_path.iterdir()) == ["epoch-00002.npz", "epoch-00003.npz"]
    found = Checkpoint.read_newest(tmp_path.as_uri())
    assert found is not None
    assert found.progress == checkpoint(3).progress
    for ours, theirs in zip(found.variables, checkpoint(3).variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before_it(tmp_path: Path, damage: str) -> None:
    for epochs in (1, 2):
        checkpoint(epochs).write(tmp_path.as_uri())
    file = tmp_path / "epoch-00002.npz"
    whole = bytearray(file.read_bytes())
    if damage == "flipped":
        start = whole.find(np.full((2, 3), 2, np.float32).tobytes())
        whole[start] ^= 1
    file.write_bytes({"truncated": bytes(whole[:-100]), "flipped": bytes(whole), "empty": b""}[damage])
    found = Checkpoint.read_newest(tmp_path.as_uri())
    assert found is not None
    assert found.progress.epochs == 1


def test_no_checkpoint_is_a_start_from_nothing(tmp_path: Path) -> None:
    assert Checkpoint.read_newest(tmp_path.as_uri()) is None


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
    assert make(tmp_path, backbone=backbone, weights=weights).weights == expected


def test_weights_that_are_left_out_are_the_default(tmp_path: Path) -> None:
    assert make(tmp_path).weights == "imagenet"
    assert make(tmp_path, backbone="small").weights == "none"


def test_another_content_of_the_weights_file_is_another_training(tmp_path: Path) -> None:
    file = tmp_path / "weights.h5"
    file.write_bytes(b"first")
    asked = make(tmp_path, weights=str(file))
    first = run_key("set", asked)
    assert run_key("set", asked) == first
    file.write_bytes(b"other")
    assert run_key("set", asked) != first


def test_a_retry_under_another_task_is_the_same_training(tmp_path: Path) -> None:
    keys = {run_key("set", make(tmp_path, parent_run_id=run_id)) for run_id in ("", "a" * 32, "b" * 32)}
    assert len(keys) == 1

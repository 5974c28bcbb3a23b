"""Requests of trainings, and the checkpoints from which trainings resume."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.errors import InputError
from components.storage.files import Files
from components.train_classifier.rank.checkpoint import Checkpoint, Progress
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
    return TrainingRequest.make(Files(), **given)


def test_defaults_equal_the_reference(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("ranks", [1, 2, 5, 8, 12, 100])
@pytest.mark.parametrize("given", [{}, {"epochs": 0}])
def test_epochs_are_12_by_default_for_any_number_of_ranks(tmp_path: Path, ranks: int, given: dict[str, int]) -> None:
    assert make(tmp_path, ranks=ranks, **given).epochs == 12


@pytest.mark.parametrize("version", ["TRAINING_VERSION", "PREPROCESSING_VERSION"])
def test_run_key_depends_on_the_version_of_the_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    now = run_key("id", make(tmp_path))
    monkeypatch.setattr(f"components.train_classifier.request.{version}", 99)
    assert run_key("id", make(tmp_path)) != now


def test_small_backbone_has_random_weights_and_small_images(tmp_path: Path) -> None:
    request = make(tmp_path, backbone="small", weights="imagenet", image_size=0)
    assert (request.weights, request.image_size) == ("none", 32)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"backbone": "resnet"}, r"^backbone: .*xception or small"),
        ({"dropout": 1.0}, r"^dropout: .*from 0 to below 1"),
        ({"learning_rate": 0.0}, r"^learning_rate: "),
        ({"learning_rate": float("nan")}, r"^learning_rate: "),
        ({"batch_size": 0}, r"^batch_size: "),
        ({"epochs": -1}, r"^epochs: "),
        ({"ranks": 0}, r"^ranks: "),
        ({"ranks": "two"}, r"^ranks: "),
        ({"image_size": 64}, r"^image_size: 64 is too small for xception. Give at least 71, or 0 for 299\.$"),
        ({"image_size": 8, "backbone": "small"}, r"^image_size: 8 is too small for small"),
        ({"weights": "/no/such/file"}, r"^weights: file '/no/such/file' not found"),
        ({"weights": "/no/such/file", "backbone": "small"}, r"^weights: the backbone small is trained from scratch"),
        ({"optimizer": "sgd"}, r"^optimizer: "),
    ],
)
def test_invalid_value_raises_error_with_its_name(tmp_path: Path, values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(tmp_path, **values)


def test_request_is_read_as_it_was_written(tmp_path: Path) -> None:
    request = make(tmp_path, ranks=3, seed=7, timeline=True)
    uri = f"file://{tmp_path}/request.json"
    request.write(uri, Files())
    assert TrainingRequest.read(uri, Files()) == request


def test_run_key_is_equal_for_a_retry_and_differs_between_trainings(tmp_path: Path) -> None:
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


def test_training_stops_after_patience_epochs_without_improvement() -> None:
    progress = Progress()
    better = [
        progress.add(metrics(epoch, value), patience=2) for epoch, value in enumerate([0.5, 0.7, 0.7, 0.6], start=1)
    ]
    assert better == [True, True, False, False]
    assert progress.best_epoch == 2
    assert progress.finished


def test_patience_begins_after_the_warm_up() -> None:
    progress = Progress()
    for epoch in range(1, 6):
        assert not progress.finished
        progress.add(metrics(epoch, 0.5), patience=2, warm_up=3)
    assert progress.finished
    assert progress.best_epoch == 1


def test_patience_0_never_stops_training() -> None:
    progress = Progress()
    for epoch in range(1, 20):
        progress.add(metrics(epoch, 0.5), patience=0)
    assert not progress.finished


def checkpoint(epochs: int) -> Checkpoint:
    made = Checkpoint(variables=[np.full((2, 3), epochs, np.float32), np.asarray(epochs)], best_weights=[np.zeros(4)])
    for epoch in range(1, epochs + 1):
        made.progress.add(metrics(epoch, epoch / 10), patience=0)
    return made


def test_newest_checkpoint_is_read_as_written_and_all_but_two_are_removed(tmp_path: Path) -> None:
    for epochs in (1, 2, 3):
        checkpoint(epochs).write(tmp_path.as_uri(), Files())
    assert sorted(file.name for file in tmp_path.iterdir()) == ["epoch-00002.npz", "epoch-00003.npz"]
    found = Checkpoint.read_newest(tmp_path.as_uri(), Files())
    assert found is not None
    assert found.progress == checkpoint(3).progress
    for ours, theirs in zip(found.variables, checkpoint(3).variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_checkpoint_before_a_damaged_one_is_read(tmp_path: Path, damage: str) -> None:
    for epochs in (1, 2):
        checkpoint(epochs).write(tmp_path.as_uri(), Files())
    file = tmp_path / "epoch-00002.npz"
    whole = bytearray(file.read_bytes())
    if damage == "flipped":
        start = whole.find(np.full((2, 3), 2, np.float32).tobytes())
        whole[start] ^= 1
    file.write_bytes({"truncated": bytes(whole[:-100]), "flipped": bytes(whole), "empty": b""}[damage])
    found = Checkpoint.read_newest(tmp_path.as_uri(), Files())
    assert found is not None
    assert found.progress.epochs == 1


def test_read_newest_without_checkpoint_returns_none(tmp_path: Path) -> None:
    assert Checkpoint.read_newest(tmp_path.as_uri(), Files()) is None


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
def test_empty_weights_mean_the_backbones_default(tmp_path: Path, backbone: str, weights: str, expected: str) -> None:
    assert make(tmp_path, backbone=backbone, weights=weights).weights == expected


def test_missing_weights_mean_the_backbones_default(tmp_path: Path) -> None:
    assert make(tmp_path).weights == "imagenet"
    assert make(tmp_path, backbone="small").weights == "none"


def test_run_key_depends_on_the_content_of_the_weights_file(tmp_path: Path) -> None:
    file = tmp_path / "weights.h5"
    file.write_bytes(b"first")
    first = run_key("set", make(tmp_path, weights=str(file)))
    assert run_key("set", make(tmp_path, weights=str(file))) == first
    file.write_bytes(b"other")
    assert run_key("set", make(tmp_path, weights=str(file))) != first


def test_run_key_does_not_depend_on_the_parent_run(tmp_path: Path) -> None:
    keys = {run_key("set", make(tmp_path, parent_run_id=run_id)) for run_id in ("", "a" * 32, "b" * 32)}
    assert len(keys) == 1

"""Trainings with real Horovod ranks, Petastorm and MLflow, from Parquet files to a model that is loaded again."""

import hashlib
import json
import math
import os
import re
import signal
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import tensorflow as tf
from mlflow import MlflowClient

from components.build_training_set.training_set import SplitName, TrainingSet
from components.errors import InputError
from components.images.classifier import Classifier, Prediction
from components.images.digest import SAVED_MODEL_FOLDER, folder_digest
from components.images.preprocess import decode, preprocess
from components.settings import Settings
from components.train_classifier.launchers import LocalLauncher
from components.train_classifier.request import TrainingRequest, TrainingResult
from components.train_classifier.train import train
from tests.local.training_set_factory import SEVERAL_SIZES, LabelledImage, digits, make_training_set, photographs

HERE = Path(__file__).parent
TRAINER_PYTHON = HERE.parent.parent / ".venv" / "trainer" / "bin" / "python"
SIZE = 32
# Neither two nor three ranks divide these.
IMAGES = digits(503 + 101, SEVERAL_SIZES)
SPLIT = {SplitName.TRAIN: IMAGES[:503], SplitName.VALIDATION: IMAGES[503:]}
# Without dropout, nothing random is left but what the seed fixes.
PARAMETERS: dict[str, Any] = {
    "backbone": "small",
    "learning_rate": 0.002,
    "batch_size": 32,
    "epochs": 5,
    "dropout": 0.0,
    "patience": 0,
}

Trained = tuple[TrainingRequest, TrainingResult]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("training")


@pytest.fixture(scope="module")
def digit_set(root: Path) -> TrainingSet:
    return make_training_set(root / "digits", SPLIT, files=5)


def settings_for(root: Path, lake: str) -> Settings:
    (root / lake).mkdir(exist_ok=True)
    return Settings.load(
        lake=str(root / lake),
        mlflow_tracking_uri=f"sqlite:///{root}/mlflow.db",
        experiment="ranks",
        trainer_python=TRAINER_PYTHON,
        lock_timeout_seconds=5,
    )


def train_overheard(root: Path, lake: str, training_set: TrainingSet, **parameters: Any) -> Trained:
    """Train, with everything that the ranks feed to their networks written down."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", str(HERE))
        launcher = LocalLauncher(TRAINER_PYTHON, worker="fed_images_probe")
        return train(settings_for(root, lake), training_set.uri, launcher, **{**PARAMETERS, **parameters})


@pytest.fixture(scope="module")
def two_ranks(root: Path, digit_set: TrainingSet) -> Trained:
    return train_overheard(root, "two", digit_set, ranks=2)


@pytest.fixture(scope="module")
def three_ranks(root: Path, digit_set: TrainingSet) -> Trained:
    return train_overheard(root, "three", digit_set, ranks=3, epochs=2, timeline=True)


@pytest.fixture(scope="module")
def whole_xception(root: Path) -> dict[str, Any]:
    """What `xception_probe` found: building Xception takes seconds."""
    folder = root / "whole"
    folder.mkdir()
    request = TrainingRequest.make(
        training_set="none",
        weights="none",
        mlflow_tracking_uri="none",
        experiment="none",
        run_directory=folder.as_uri(),
        features_directory=folder.as_uri(),
    )
    request_uri = (folder / "request.json").as_uri()
    request.write(request_uri)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", str(HERE))
        LocalLauncher(TRAINER_PYTHON, worker="xception_probe").launch(request_uri, ranks=1)
    found: dict[str, Any] = json.loads((folder / "found.json").read_text())
    return found


@pytest.fixture(scope="module")
def saved_model(root: Path, two_ranks: Trained) -> Path:
    mlflow.set_tracking_uri(two_ranks[0].mlflow_tracking_uri)
    downloaded = mlflow.artifacts.download_artifacts(two_ranks[1].model_uri, dst_path=str(root / "downloaded"))
    return Path(downloaded) / SAVED_MODEL_FOLDER


def fed(request: TrainingRequest, split: SplitName) -> list[list[list[tuple[str, float]]]]:
    """Return the batches of rows (digest of the tensor, weight) that each rank was fed, in their order."""
    folder = Path(request.run_directory.removeprefix("file://"))
    files = [folder / f"fed-{split.value}-{rank}.jsonl" for rank in range(request.ranks)]
    return [
        [[(digest, weight) for digest, weight in json.loads(line)] for line in file.read_text().splitlines()]
        for file in files
    ]


def tensor_digests(images: list[LabelledImage]) -> Counter[str]:
    tensors = (preprocess(tf.constant(content), SIZE).numpy() for content, _ in images)
    return Counter(hashlib.sha256(tensor.tobytes()).hexdigest() for tensor in tensors)


@pytest.mark.parametrize("training", ["two_ranks", "three_ranks"])
def test_each_image_counts_once_per_epoch_for_any_number_of_ranks(
    training: str, request: pytest.FixtureRequest
) -> None:
    asked, result = request.getfixturevalue(training)
    for split, members in SPLIT.items():
        expected = tensor_digests(members)
        ranks = fed(asked, split)
        steps = {len(batches) for batches in ranks}
        assert len(steps) == 1, "a rank with fewer steps would leave the others waiting"
        (total,) = steps
        per_epoch = total // asked.epochs
        assert per_epoch * asked.epochs == total
        for epoch in range(asked.epochs):
            rows = [
                row
                for batches in ranks
                for batch in batches[epoch * per_epoch : (epoch + 1) * per_epoch]
                for row in batch
            ]
            assert {weight for _, weight in rows} == {0.0, 1.0}, "without padding, this proves nothing"
            assert Counter(digest for digest, weight in rows if weight == 1) == expected
    assert {(each.images, each.val_images) for each in result.history} == {(503, 101)}


@pytest.mark.parametrize("training", ["two_ranks", "three_ranks"])
def test_all_ranks_end_with_equal_weights(training: str, request: pytest.FixtureRequest) -> None:
    asked, result = request.getfixturevalue(training)
    assert len(result.weights_digests) == asked.ranks
    assert len(set(result.weights_digests)) == 1


def test_each_epoch_has_its_own_order(two_ranks: Trained) -> None:
    (batches, _) = fed(two_ranks[0], SplitName.TRAIN)
    per_epoch = len(batches) // two_ranks[0].epochs
    assert batches[:per_epoch] != batches[per_epoch : 2 * per_epoch]


def test_the_metrics_are_those_of_all_validation_images(two_ranks: Trained, saved_model: Path) -> None:
    members = SPLIT[SplitName.VALIDATION]
    model = Classifier.load(saved_model)
    scores = model.scores([content for content, _ in members])
    truth = [int(np.flatnonzero(model.labels == label)[0]) for _, label in members]
    best = two_ranks[1].best
    assert best.val_accuracy == pytest.approx((scores.argmax(axis=1) == truth).mean(), abs=1e-9)
    assert best.val_loss == pytest.approx(-np.log(scores[range(len(truth)), truth]).mean(), rel=1e-3)


def test_training_and_serving_see_the_same_tensor_bit_for_bit(two_ranks: Trained, saved_model: Path) -> None:
    serve = tf.saved_model.load(str(saved_model)).signatures["preprocess"]
    members = SPLIT[SplitName.TRAIN]
    shapes = {tuple(decode(tf.constant(content)).shape) for content, _ in members}
    assert shapes == {(height, width, 3) for width, height in SEVERAL_SIZES}, "some are shrunk, some are padded"
    served = serve(content=tf.constant([content for content, _ in members]))["images"].numpy()
    trained = {digest for batches in fed(two_ranks[0], SplitName.TRAIN) for batch in batches for digest, _ in batch}
    assert {hashlib.sha256(tensor.tobytes()).hexdigest() for tensor in served} <= trained


def test_the_model_answers_in_class_ids(two_ranks: Trained, saved_model: Path) -> None:
    members = SPLIT[SplitName.TRAIN][:100]
    model = Classifier.load(saved_model)
    assert model.labels.tolist() == [3, 5, 7, 9, 11, 13, 15, 17, 19, 21]
    predictions = model.predict([content for content, _ in members])
    right = [prediction.label == label for prediction, (_, label) in zip(predictions, members, strict=True)]
    assert np.mean(right) > 0.8


def test_an_image_alone_gets_the_scores_that_it_gets_among_others(saved_model: Path) -> None:
    model = Classifier.load(saved_model)
    contents = [content for content, _ in IMAGES[:3]]

    alone = model.scores(contents[:1])

    assert alone.shape == (1, len(model.labels))
    np.testing.assert_allclose(alone, model.scores(contents)[:1], rtol=1e-4, atol=1e-6)


def test_an_image_that_can_not_be_decoded_does_not_spoil_the_others(saved_model: Path) -> None:
    model = Classifier.load(saved_model)
    good = IMAGES[0][0]
    first, bad, last = model.predict([good, good[:100], good])
    assert bad.error
    assert bad == Prediction(None, None, None, None, bad.error)
    assert [first, last] == model.predict([good, good])
    assert first.error is None


def test_mlflow_loads_the_model_as_a_python_function(two_ranks: Trained, saved_model: Path) -> None:
    contents = [content for content, _ in IMAGES[:3]]
    loaded = mlflow.pyfunc.load_model(str(saved_model.parent))
    expected = Classifier.load(saved_model).scores(contents)
    for data in (
        contents,
        np.array(contents, dtype=object),
        np.array([[content] for content in contents], dtype=object),
    ):
        np.testing.assert_array_equal(loaded.predict(data)["scores"].numpy(), expected)


def test_the_run_tells_where_the_model_comes_from(
    two_ranks: Trained, saved_model: Path, digit_set: TrainingSet
) -> None:
    asked, result = two_ranks
    client = MlflowClient(asked.mlflow_tracking_uri)
    run = client.get_run(result.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params.items() >= {name: str(value) for name, value in asked.hyperparameters.items()}.items()
    assert run.data.tags["training_set.id"] == digit_set.id
    assert run.data.tags["training_set.uri"] == digit_set.uri
    assert run.data.tags["model.digest"] == result.model_digest == folder_digest(saved_model)
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        logged = {metric.step: metric.value for metric in client.get_metric_history(result.run_id, name)}
        assert logged == {each.epoch - 1: pytest.approx(getattr(each, name)) for each in result.history}


def test_horovods_whole_timeline_is_logged_when_asked_for(root: Path, two_ranks: Trained, three_ranks: Trained) -> None:
    client = MlflowClient(two_ranks[0].mlflow_tracking_uri)
    assert "timeline.json" not in {artifact.path for artifact in client.list_artifacts(two_ranks[1].run_id)}
    file = client.download_artifacts(three_ranks[1].run_id, "timeline.json", str(root))
    assert {"NEGOTIATE_ALLREDUCE", "ALLREDUCE"} <= {event.get("name") for event in json.loads(Path(file).read_text())}


def test_ranks_stop_together_where_training_gets_no_better(root: Path, digit_set: TrainingSet) -> None:
    _, result = train(
        settings_for(root, "stopped"),
        digit_set.uri,
        **{**PARAMETERS, "ranks": 2, "learning_rate": 1e-9, "patience": 1, "epochs": 5},
    )
    assert [each.epoch for each in result.history] == [1, 2]
    assert result.best_epoch == 1
    assert len(result.weights_digests) == 2
    assert len(set(result.weights_digests)) == 1


def test_a_finished_training_is_not_run_again(root: Path, two_ranks: Trained, digit_set: TrainingSet) -> None:
    class NoLauncher:
        def launch(self, request_uri: str, ranks: int) -> None:
            raise AssertionError("it was run again")

    again = train(settings_for(root, "two"), digit_set.uri, NoLauncher(), **PARAMETERS, ranks=2)
    assert again == two_ranks


def test_a_killed_rank_costs_an_epoch_and_the_retry_ends_as_if_undisturbed(
    root: Path, two_ranks: Trained, digit_set: TrainingSet
) -> None:
    killer = _Killer(root / "killed")
    with pytest.raises(RuntimeError, match="rank 1"), killer:
        train_overheard(root, "killed", digit_set, ranks=2)
    assert _worker_processes(root / "killed") == []

    _, result = train_overheard(root, "killed", digit_set, ranks=2)
    undisturbed = two_ranks[1]
    assert 1 < result.first_epoch <= result.history[-1].epoch
    assert [each.epoch for each in result.history] == [1, 2, 3, 4, 5]
    for ours, theirs in zip(result.history, undisturbed.history, strict=True):
        assert ours.loss == pytest.approx(theirs.loss, rel=1e-3)
        assert ours.val_accuracy == pytest.approx(theirs.val_accuracy, abs=0.02)
    client = MlflowClient(two_ranks[0].mlflow_tracking_uri)
    assert client.get_run(result.run_id).info.status == "FINISHED"
    steps = [metric.step for metric in client.get_metric_history(result.run_id, "val_accuracy")]
    assert sorted(set(steps)) == [0, 1, 2, 3, 4], "the retry went on with the same run"


def test_ranks_that_disagree_with_the_request_train_nothing(root: Path, digit_set: TrainingSet) -> None:
    class OneTooFew:
        def launch(self, request_uri: str, ranks: int) -> None:
            LocalLauncher(TRAINER_PYTHON).launch(request_uri, ranks - 1)

    with pytest.raises(RuntimeError, match="ranks: 2 were asked for, but Horovod has 1"):
        train(settings_for(root, "disagreeing"), digit_set.uri, OneTooFew(), **PARAMETERS, ranks=2)
    (folder,) = (root / "disagreeing" / "training_runs").iterdir()
    assert {file.name for file in folder.iterdir()} == {"request.json", "failure.json", "heartbeat", "job.yaml"}


def test_more_ranks_than_files_is_told_in_one_sentence(root: Path, digit_set: TrainingSet) -> None:
    with pytest.raises(InputError, match=r"^ranks: 6 are more than the 5 train files"):
        train(settings_for(root, "many"), digit_set.uri, **PARAMETERS, ranks=6)


def test_a_loss_that_is_not_a_number_ends_with_the_way_out(root: Path, digit_set: TrainingSet) -> None:
    with pytest.raises(
        InputError, match=r"^learning_rate: the loss is not a number any more after epoch 1\. Give a smaller"
    ):
        train(settings_for(root, "diverging"), digit_set.uri, **{**PARAMETERS, "learning_rate": 1e30})


def test_xception_is_trained_on_features_that_are_computed_once(root: Path) -> None:
    parts = photographs(7)
    training_set = make_training_set(
        root / "photographs", {SplitName.TRAIN: parts[:5], SplitName.VALIDATION: parts[5:]}, files=2
    )
    values: dict[str, Any] = {"weights": "none", "image_size": 71, "batch_size": 2, "epochs": 1, "learning_rate": 0.001}
    settings = settings_for(root, "xception")
    asked, result = train(settings, training_set.uri, **values)
    assert result.features_computed == 7
    assert result.history[0].images == 5

    downloaded = mlflow.artifacts.download_artifacts(
        result.model_uri, dst_path=str(root / "xception-model"), tracking_uri=asked.mlflow_tracking_uri
    )
    scores = Classifier.load(Path(downloaded) / SAVED_MODEL_FOLDER).scores([content for content, _ in parts])
    assert scores.shape == (7, 2)
    truth = [(label - 3) // 2 for _, label in parts[5:]]
    expected = -np.log(scores[[5, 6], truth]).mean()
    assert result.best.val_loss == pytest.approx(expected, rel=1e-3), "the served graph is the one that was trained"

    _, second = train(settings, training_set.uri, **{**values, "dropout": 0.2, "ranks": 2})
    assert second.features_computed == 0
    assert second.history[0].images == 5


def test_the_whole_xception_is_trained_for_a_step_with_random_weights(whole_xception: dict[str, Any]) -> None:
    step = whole_xception["step"]
    assert step["parameters"] == 20_861_480, "as Keras says of Xception without its top"
    assert math.isfinite(step["loss"])
    entry, exit_ = step["moved"].values()
    assert entry > 0
    assert exit_ > 0


def test_weights_come_from_a_file(whole_xception: dict[str, Any]) -> None:
    files = whole_xception["files"]
    assert files["loaded"] == files["saved"] != files["random"]


def test_a_file_of_other_weights_is_told(whole_xception: dict[str, Any]) -> None:
    told = whole_xception["files"]["told"]
    for name in ("head.h5", "text"):
        assert re.match(
            rf"weights: '.*/{name}' does not hold the weights of Xception without its top \(.+\)\. Give", told[name]
        )


class _Killer:
    """Kills rank 1 of the training in a lake once there is a second checkpoint."""

    def __init__(self, lake: Path) -> None:
        self._lake = lake
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._over = threading.Event()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(0.01):
            if list(self._lake.glob("training_runs/*/epoch-00002.npz")):
                for process, environment in _worker_processes(self._lake):
                    if "HOROVOD_RANK=1" in environment:
                        os.kill(process, signal.SIGKILL)
                return


def _worker_processes(lake: Path) -> list[tuple[int, list[str]]]:
    """Return id and environment of the Python processes that train in a lake."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_text().split("\0")
            environment = (folder / "environ").read_text().split("\0")
        except (OSError, UnicodeDecodeError):
            continue
        if command[0].endswith("python") and any(part.startswith(f"file://{lake}/training_runs") for part in command):
            found.append((int(folder.name), environment))
    return found

"""Trainings with real Horovod ranks, Petastorm and MLflow, from Parquet files to a loaded model."""

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

from components.errors import InputError
from components.preprocessing.classifier import Classifier
from components.preprocessing.digest import SAVED_MODEL_FOLDER, folder_digest
from components.preprocessing.prediction import Prediction
from components.preprocessing.preprocess import decode, preprocess
from components.preprocessing.version import PREPROCESSING_VERSION
from components.settings import Settings
from components.storage import uri
from components.storage.files import Files
from components.train_classifier.lake_weights import put
from components.train_classifier.local_launcher import LocalLauncher
from components.train_classifier.request import TrainingRequest, TrainingResult
from components.train_classifier.train import train
from components.training_set.manifest import SplitName, TrainingSet
from tests.support.paths import RANK_PROGRAMS, TRAINER_PYTHON
from tests.support.rank_processes import rank_processes
from tests.support.tracking import make_tracking
from tests.support.training_set_factory import SEVERAL_SIZES, LabeledImage, digits, make_training_set, photographs

SIZE = 32
# Neither two nor three divide the numbers of images.
IMAGES = digits(503 + 101, SEVERAL_SIZES)
SPLIT = {SplitName.TRAIN: IMAGES[:503], SplitName.VALIDATION: IMAGES[503:]}
# Without dropout, the seed determines all random numbers.
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
    folder = tmp_path_factory.mktemp("training")
    make_tracking(folder)
    return folder


@pytest.fixture(scope="module")
def digit_set(root: Path) -> TrainingSet:
    return make_training_set(root / "digits", SPLIT, segments=5)


def settings_for(root: Path, lake: str) -> Settings:
    (root / lake).mkdir(exist_ok=True)
    return Settings.load(
        lake=str(root / lake),
        mlflow_tracking_uri=f"sqlite:///{root}/mlflow.db",
        experiment="ranks",
        trainer_python=TRAINER_PYTHON,
        lock_timeout_seconds=5,
    )


def train_recorded(root: Path, lake: str, training_set: TrainingSet, **parameters: Any) -> Trained:
    """Train, and record all batches that the ranks feed to their networks."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", str(RANK_PROGRAMS))
        launcher = LocalLauncher(TRAINER_PYTHON, Files(), worker="fed_images_probe")
        return train(settings_for(root, lake), training_set.uri, launcher, **{**PARAMETERS, **parameters})


@pytest.fixture(scope="module")
def two_ranks(root: Path, digit_set: TrainingSet) -> Trained:
    return train_recorded(root, "two", digit_set, ranks=2)


@pytest.fixture(scope="module")
def three_ranks(root: Path, digit_set: TrainingSet) -> Trained:
    return train_recorded(root, "three", digit_set, ranks=3, epochs=2, timeline=True)


def disconnect(environment: pytest.MonkeyPatch, home: Path) -> None:
    """Cut processes off from the network, and from earlier downloads."""
    environment.setenv("HOME", str(home))
    environment.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    environment.setenv("https_proxy", "http://127.0.0.1:9")


@pytest.fixture(scope="module")
def whole_xception(root: Path) -> dict[str, Any]:
    """The results of `xception_probe`. They are shared because building Xception takes seconds."""
    folder = root / "whole"
    folder.mkdir()
    request = TrainingRequest.make(
        Files(),
        training_set="none",
        weights="none",
        mlflow_tracking_uri="none",
        experiment="none",
        run_directory=folder.as_uri(),
        features_directory=folder.as_uri(),
    )
    request_uri = (folder / "request.json").as_uri()
    request.write(request_uri, Files())
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", str(RANK_PROGRAMS))
        disconnect(environment, folder)
        LocalLauncher(TRAINER_PYTHON, Files(), worker="xception_probe").launch(request_uri, ranks=1)
    found: dict[str, Any] = json.loads((folder / "found.json").read_text())
    return found


@pytest.fixture(scope="module")
def saved_model(root: Path, two_ranks: Trained) -> Path:
    mlflow.set_tracking_uri(two_ranks[0].mlflow_tracking_uri)
    downloaded = mlflow.artifacts.download_artifacts(two_ranks[1].model_uri, dst_path=str(root / "downloaded"))
    return Path(downloaded) / SAVED_MODEL_FOLDER


def recorded_batches(request: TrainingRequest, split: SplitName) -> list[list[list[tuple[str, float]]]]:
    """Return the batches of each rank in order. A row is a pair of the tensor's digest and its weight."""
    folder = Path(request.run_directory.removeprefix("file://"))
    files = [folder / f"fed-{split.value}-{rank}.jsonl" for rank in range(request.ranks)]
    return [
        [[(digest, weight) for digest, weight in json.loads(line)] for line in file.read_text().splitlines()]
        for file in files
    ]


def tensor_digests(images: list[LabeledImage]) -> Counter[str]:
    tensors = (preprocess(tf.constant(content), SIZE).numpy() for content, _ in images)
    return Counter(hashlib.sha256(tensor.tobytes()).hexdigest() for tensor in tensors)


@pytest.mark.parametrize("training", ["two_ranks", pytest.param("three_ranks", marks=pytest.mark.slow)])
def test_each_image_is_trained_on_once_per_epoch_for_any_number_of_ranks(
    training: str, request: pytest.FixtureRequest
) -> None:
    training_request, result = request.getfixturevalue(training)
    for split, members in SPLIT.items():
        expected = tensor_digests(members)
        ranks = recorded_batches(training_request, split)
        steps = {len(batches) for batches in ranks}
        assert len(steps) == 1, "a rank with fewer steps would make the others wait"
        (total,) = steps
        per_epoch = total // training_request.epochs
        assert per_epoch * training_request.epochs == total
        for epoch in range(training_request.epochs):
            rows = [
                row
                for batches in ranks
                for batch in batches[epoch * per_epoch : (epoch + 1) * per_epoch]
                for row in batch
            ]
            assert {weight for _, weight in rows} == {0.0, 1.0}, "without padding rows, this test shows nothing"
            assert Counter(digest for digest, weight in rows if weight == 1) == expected
    assert {(epoch.images, epoch.val_images) for epoch in result.history} == {(503, 101)}


@pytest.mark.parametrize("training", ["two_ranks", pytest.param("three_ranks", marks=pytest.mark.slow)])
def test_weights_of_all_ranks_are_equal_at_the_end(training: str, request: pytest.FixtureRequest) -> None:
    training_request, result = request.getfixturevalue(training)
    assert len(result.weights_digests) == training_request.ranks
    assert len(set(result.weights_digests)) == 1


def test_epochs_have_different_orders(two_ranks: Trained) -> None:
    (batches, _) = recorded_batches(two_ranks[0], SplitName.TRAIN)
    per_epoch = len(batches) // two_ranks[0].epochs
    assert batches[:per_epoch] != batches[per_epoch : 2 * per_epoch]


def test_validation_metrics_cover_all_validation_images(two_ranks: Trained, saved_model: Path) -> None:
    members = SPLIT[SplitName.VALIDATION]
    model = Classifier.load(saved_model)
    scores = model.scores([content for content, _ in members])
    truth = [int(np.flatnonzero(model.labels == label)[0]) for _, label in members]
    best = two_ranks[1].best
    assert best.val_accuracy == pytest.approx((scores.argmax(axis=1) == truth).mean(), abs=1e-9)
    assert best.val_loss == pytest.approx(-np.log(scores[range(len(truth)), truth]).mean(), rel=1e-3)


def test_training_and_serving_preprocess_images_identically(two_ranks: Trained, saved_model: Path) -> None:
    serve = tf.saved_model.load(str(saved_model)).signatures["preprocess"]
    members = SPLIT[SplitName.TRAIN]
    shapes = {tuple(decode(tf.constant(content)).shape) for content, _ in members}
    assert shapes == {(height, width, 3) for width, height in SEVERAL_SIZES}, "some images are shrunk, others padded"
    served = serve(content=tf.constant([content for content, _ in members]))["images"].numpy()
    trained = {
        digest
        for batches in recorded_batches(two_ranks[0], SplitName.TRAIN)
        for batch in batches
        for digest, _ in batch
    }
    assert {hashlib.sha256(tensor.tobytes()).hexdigest() for tensor in served} <= trained


def test_model_predicts_class_ids(two_ranks: Trained, saved_model: Path) -> None:
    members = SPLIT[SplitName.TRAIN][:100]
    model = Classifier.load(saved_model)
    assert model.labels.tolist() == [3, 5, 7, 9, 11, 13, 15, 17, 19, 21]
    predictions = model.predict([content for content, _ in members])
    right = [prediction.label == label for prediction, (_, label) in zip(predictions, members, strict=True)]
    assert np.mean(right) > 0.8


def test_scores_of_an_image_do_not_depend_on_its_batch(saved_model: Path) -> None:
    model = Classifier.load(saved_model)
    contents = [content for content, _ in IMAGES[:3]]

    alone = model.scores(contents[:1])

    assert alone.shape == (1, len(model.labels))
    np.testing.assert_allclose(alone, model.scores(contents)[:1], rtol=1e-4, atol=1e-6)


def test_undecodable_image_does_not_affect_the_others(saved_model: Path) -> None:
    model = Classifier.load(saved_model)
    good = IMAGES[0][0]
    first, bad, last = model.predict([good, good[:100], good])
    assert bad.error
    assert bad == Prediction(None, None, None, None, bad.error)
    assert [first, last] == model.predict([good, good])
    assert first.error is None


def test_model_loads_as_a_python_function_of_mlflow(two_ranks: Trained, saved_model: Path) -> None:
    contents = [content for content, _ in IMAGES[:3]]
    loaded = mlflow.pyfunc.load_model(str(saved_model.parent))
    expected = Classifier.load(saved_model).scores(contents)
    for data in (
        contents,
        np.array(contents, dtype=object),
        np.array([[content] for content in contents], dtype=object),
    ):
        np.testing.assert_array_equal(loaded.predict(data)["scores"].numpy(), expected)


def test_mlflow_run_has_parameters_metrics_and_tags_of_the_training(
    two_ranks: Trained, saved_model: Path, digit_set: TrainingSet
) -> None:
    training_request, result = two_ranks
    client = MlflowClient(training_request.mlflow_tracking_uri)
    run = client.get_run(result.run_id)
    assert run.info.status == "FINISHED"
    assert (
        run.data.params.items()
        >= {name: str(value) for name, value in training_request.hyperparameters.items()}.items()
    )
    assert run.data.tags["training_set.id"] == digit_set.id
    assert run.data.tags["preprocessing.version"] == str(PREPROCESSING_VERSION)
    assert run.data.tags["training_set.uri"] == digit_set.uri
    assert run.data.tags["model.digest"] == result.model_digest == folder_digest(saved_model)
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        logged = {metric.step: metric.value for metric in client.get_metric_history(result.run_id, name)}
        assert logged == {epoch.epoch - 1: pytest.approx(getattr(epoch, name)) for epoch in result.history}


@pytest.mark.slow
def test_complete_timeline_of_horovod_is_logged_on_request(
    root: Path, two_ranks: Trained, three_ranks: Trained
) -> None:
    client = MlflowClient(two_ranks[0].mlflow_tracking_uri)
    assert "timeline.json" not in {artifact.path for artifact in client.list_artifacts(two_ranks[1].run_id)}
    file = client.download_artifacts(three_ranks[1].run_id, "timeline.json", str(root))
    assert {"NEGOTIATE_ALLREDUCE", "ALLREDUCE"} <= {event.get("name") for event in json.loads(Path(file).read_text())}


@pytest.mark.slow
def test_ranks_stop_at_the_same_epoch_without_improvement(
    root: Path, digit_set: TrainingSet, capfd: pytest.CaptureFixture[str]
) -> None:
    _, result = train(
        settings_for(root, "stopped"),
        digit_set.uri,
        **{**PARAMETERS, "ranks": 2, "learning_rate": 1e-9, "patience": 1, "epochs": 4},
    )
    # The warm-up ends in the first of four epochs of 10 steps, so patience counts from the second epoch.
    assert [epoch.epoch for epoch in result.history] == [1, 2]
    assert result.best_epoch == 1
    assert result.steps == 40
    warning = (
        "warning: ranks: with 2, the training has 40 optimizer steps in total, but needs at least 50 to converge. Use 1"
        " rank."
    )
    assert capfd.readouterr().out.splitlines().count(warning) == 1
    assert len(result.weights_digests) == 2
    assert len(set(result.weights_digests)) == 1


def test_finished_training_is_not_run_again(root: Path, two_ranks: Trained, digit_set: TrainingSet) -> None:
    class NoLauncher:
        def launch(self, request_uri: str, ranks: int) -> None:
            raise AssertionError("the training was run again")

        def clean_up(self, request_uri: str) -> bool:
            return True

    again = train(settings_for(root, "two"), digit_set.uri, NoLauncher(), **PARAMETERS, ranks=2)
    assert again == two_ranks


@pytest.mark.slow
def test_retry_after_a_killed_rank_ends_like_an_uninterrupted_training(
    root: Path, two_ranks: Trained, digit_set: TrainingSet
) -> None:
    killer = _Killer(root / "killed")
    with pytest.raises(RuntimeError, match="rank 1"), killer:
        train_recorded(root, "killed", digit_set, ranks=2)
    assert rank_processes(root / "killed") == {}

    training_request, result = train_recorded(root, "killed", digit_set, ranks=2)
    uninterrupted = two_ranks[1]
    assert 1 < result.first_epoch <= result.history[-1].epoch
    assert [epoch.epoch for epoch in result.history] == [1, 2, 3, 4, 5]
    for ours, theirs in zip(result.history, uninterrupted.history, strict=True):
        assert ours.loss == pytest.approx(theirs.loss, rel=1e-3)
        assert ours.val_accuracy == pytest.approx(theirs.val_accuracy, abs=0.02)
    steps_of_retry = (5 - result.first_epoch + 1) * result.steps // 5
    retried, whole = (
        [batches[-steps_of_retry:] for batches in recorded_batches(each, SplitName.TRAIN)]
        for each in (training_request, two_ranks[0])
    )
    assert retried == whole, "the retry saw another order"
    client = MlflowClient(two_ranks[0].mlflow_tracking_uri)
    assert client.get_run(result.run_id).info.status == "FINISHED"
    steps = [metric.step for metric in client.get_metric_history(result.run_id, "val_accuracy")]
    assert sorted(set(steps)) == [0, 1, 2, 3, 4], "the retry continued the same run"


def test_wrong_number_of_processes_raises_error_before_training(root: Path, digit_set: TrainingSet) -> None:
    class OneTooFew:
        def launch(self, request_uri: str, ranks: int) -> None:
            LocalLauncher(TRAINER_PYTHON, Files()).launch(request_uri, ranks - 1)

        def clean_up(self, request_uri: str) -> bool:
            return True

    with pytest.raises(RuntimeError, match="ranks: the request has 2, but Horovod runs 1"):
        train(settings_for(root, "disagreeing"), digit_set.uri, OneTooFew(), **PARAMETERS, ranks=2)
    (folder,) = (root / "disagreeing" / "training_runs").iterdir()
    assert {file.name for file in folder.iterdir()} == {"request.json", "failure.json", "heartbeat", "job.yaml"}


@pytest.mark.slow
def test_more_ranks_than_row_groups_train_on_each_image_once(root: Path) -> None:
    split = {SplitName.TRAIN: IMAGES[:40], SplitName.VALIDATION: IMAGES[40:43]}
    training_set = make_training_set(root / "two-row-groups", split, rows=20)

    training_request, result = train_recorded(root, "five", training_set, ranks=5, epochs=1, batch_size=4)

    for name, members in split.items():
        rows = [row for batches in recorded_batches(training_request, name) for batch in batches for row in batch]
        assert Counter(digest for digest, weight in rows if weight == 1) == tensor_digests(members)
    assert len(set(result.weights_digests)) == 1


@pytest.mark.slow
def test_segments_of_a_training_set_do_not_matter(root: Path) -> None:
    epochs = []
    for segments, rows in ((1, 128), (25, 8)):
        training_set = make_training_set(root / f"segments-{segments}", SPLIT, segments=segments, rows=rows)
        _, result = train(settings_for(root, "segments"), training_set.uri, **PARAMETERS)
        epochs.append(result.history[-1])

    # Row groups determine the order of the images, so the weights differ like those of two seeds. With 101 validation
    # images, the validation accuracy of two seeds differs by 0.1.
    assert epochs[0].accuracy == pytest.approx(epochs[1].accuracy, abs=0.05)
    assert min(epoch.accuracy for epoch in epochs) > 0.85
    assert min(epoch.val_accuracy for epoch in epochs) > 0.6


@pytest.mark.slow
def test_loss_of_nan_raises_error_with_its_fix(root: Path, digit_set: TrainingSet) -> None:
    with pytest.raises(InputError, match=r"^learning_rate: the loss is NaN or infinite after epoch 1\. Use a smaller"):
        train(settings_for(root, "diverging"), digit_set.uri, **{**PARAMETERS, "learning_rate": 1e30})


@pytest.mark.slow
def test_features_of_xception_are_computed_once(root: Path) -> None:
    images = photographs(7)
    training_set = make_training_set(
        root / "photographs", {SplitName.TRAIN: images[:5], SplitName.VALIDATION: images[5:]}, segments=2
    )
    values: dict[str, Any] = {"weights": "none", "image_size": 71, "batch_size": 2, "epochs": 1, "learning_rate": 0.001}
    settings = settings_for(root, "xception")
    training_request, result = train(settings, training_set.uri, **values)
    assert result.features_computed == 7
    assert result.history[0].images == 5

    # `download_artifacts` looks models up in the global tracking server, whatever its `tracking_uri` is.
    mlflow.set_tracking_uri(training_request.mlflow_tracking_uri)
    downloaded = mlflow.artifacts.download_artifacts(result.model_uri, dst_path=str(root / "xception-model"))
    scores = Classifier.load(Path(downloaded) / SAVED_MODEL_FOLDER).scores([content for content, _ in images])
    assert scores.shape == (7, 2)
    truth = [(label - 3) // 2 for _, label in images[5:]]
    expected = -np.log(scores[[5, 6], truth]).mean()
    assert result.best.val_loss == pytest.approx(expected, rel=1e-3), "the served graph has the trained weights"

    _, second = train(settings, training_set.uri, **{**values, "dropout": 0.2, "ranks": 2})
    assert second.features_computed == 0
    assert second.history[0].images == 5


@pytest.mark.slow
def test_whole_xception_trains_for_a_step_with_random_weights(whole_xception: dict[str, Any]) -> None:
    step = whole_xception["step"]
    assert step["parameters"] == 20_861_480, "the number that Keras documents for Xception without its top"
    assert math.isfinite(step["loss"])
    entry, exit_ = step["moved"].values()
    assert entry > 0
    assert exit_ > 0


@pytest.mark.slow
def test_weights_are_loaded_from_a_file(whole_xception: dict[str, Any]) -> None:
    files = whole_xception["files"]
    assert files["loaded"] == files["saved"] != files["random"]


@pytest.mark.slow
def test_file_of_other_weights_raises_error(whole_xception: dict[str, Any]) -> None:
    errors = whole_xception["files"]["errors"]
    for name in ("head.h5", "head.weights.h5", "text"):
        assert re.match(
            rf"weights: file '.*/{name}' does not hold the weights of Xception without its top \(.+\)\. Give",
            errors[name],
        )


@pytest.mark.slow
def test_failed_download_raises_error_with_the_command_for_a_local_file(whole_xception: dict[str, Any]) -> None:
    message = r"weights: 'imagenet' could not be downloaded \(.+\)\. .*`image-pipelines weights put FILE`"
    assert re.match(message, whole_xception["imagenet"])


@pytest.mark.slow
def test_imagenet_weights_in_the_lake_replace_the_download(
    root: Path, whole_xception: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    disconnect(monkeypatch, root)
    settings = settings_for(root, "named-weights")
    stored = put(root / "whole" / "xception.h5", uri.normalize(settings.lake, "lake"), "imagenet", Files())
    images = photographs(4)
    training_set = make_training_set(
        root / "few-photographs", {SplitName.TRAIN: images[:2], SplitName.VALIDATION: images[2:]}, segments=2
    )

    training_request, result = train(settings, training_set.uri, image_size=71, epochs=1, ranks=2)

    assert (training_request.weights, training_request.weights_sha256) == (stored.uri, stored.sha256)
    params = MlflowClient(training_request.mlflow_tracking_uri).get_run(result.run_id).data.params
    assert params["weights"] == f"sha256:{stored.sha256}"
    # Both ranks have the weights, because the cache's key contains a digest of the backbone's variables. The key must
    # not change, so that features of earlier trainings stay valid.
    assert result.features_computed == 4
    key = whole_xception["files"]["saved"], PREPROCESSING_VERSION, 71, "float32"
    folders = {folder.name for folder in (root / "named-weights" / "features").iterdir()}
    assert folders == {hashlib.sha256(repr(key).encode()).hexdigest()[:16]}


class _Killer:
    """Kills rank 1 of the training in a lake after the second checkpoint."""

    def __init__(self, lake: Path) -> None:
        self._lake = lake
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._stopped = threading.Event()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *exception: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(0.01):
            if list(self._lake.glob("training_runs/*/epoch-00002.npz")):
                for process, environment in rank_processes(self._lake).items():
                    if "HOROVOD_RANK=1" in environment:
                        os.kill(process, signal.SIGKILL)
                return

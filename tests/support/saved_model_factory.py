"""Tiny real models for tests: SavedModels with the trainer's signature, logged to MLflow within a second."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
import numpy as np
import tensorflow as tf

from components.preprocessing.digest import SAVED_MODEL_FOLDER, folder_digest
from components.preprocessing.preprocess import preprocess_batch

_SIZE = 8


class LinearClassifier(tf.Module):  # type: ignore[misc]
    """One dense layer on a small image.

    Args:
        labels: Class ids.
        weights: Weights, float32 of shape (8 x 8 x 3, classes).
        bias: Biases, float32 of shape (classes,).
    """

    def __init__(self, labels: Sequence[int], weights: np.ndarray, bias: np.ndarray) -> None:
        super().__init__(name="classifier")
        self.labels = tf.Variable(list(labels), dtype=tf.int64, trainable=False, name="labels")
        self._weights = tf.Variable(weights, dtype=tf.float32)
        self._bias = tf.Variable(bias, dtype=tf.float32)

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="content")])  # type: ignore[untyped-decorator]
    def serve(self, content: tf.Tensor) -> dict[str, tf.Tensor]:
        """Predict, with the signature of a trained model."""
        images = tf.reshape(preprocess_batch(content, _SIZE), (-1, _SIZE * _SIZE * 3)) / 255.0
        scores = tf.nn.softmax(images @ self._weights + self._bias)
        best = tf.argmax(scores, axis=1)
        return {"label": tf.gather(self.labels, best), "score": tf.reduce_max(scores, axis=1), "scores": scores}


class AbortingClassifier(LinearClassifier):
    """A classifier that ends its process when it sees one of the images, as a bug in a kernel would.

    Args:
        labels: Class ids.
        fatal: The image file.
    """

    def __init__(self, labels: Sequence[int], fatal: bytes) -> None:
        super().__init__(labels, np.zeros((_SIZE * _SIZE * 3, len(labels))), np.zeros(len(labels)))
        self._fatal = fatal

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="content")])  # type: ignore[untyped-decorator]
    def serve(self, content: tf.Tensor) -> dict[str, tf.Tensor]:
        """Predict, with the signature of a trained model."""

        def abort() -> tf.Tensor:
            with tf.control_dependencies([tf.raw_ops.Abort(error_msg="as a bug in a kernel would")]):
                return tf.identity(content)

        passed = tf.cond(tf.reduce_any(tf.equal(content, self._fatal)), abort, lambda: tf.identity(content))
        predictions: dict[str, tf.Tensor] = super().serve(passed)
        return predictions


def random_classifier(labels: Sequence[int], seed: int = 0) -> LinearClassifier:
    """Return an untrained classifier."""
    random = np.random.default_rng(seed)
    return LinearClassifier(labels, random.normal(0, 0.5, (_SIZE * _SIZE * 3, len(labels))), np.zeros(len(labels)))


def constant_classifier(labels: Sequence[int], answer: int) -> LinearClassifier:
    """Return a classifier that always predicts the class id `answer`."""
    bias = np.where(np.asarray(labels) == answer, 5.0, 0.0)
    return LinearClassifier(labels, np.zeros((_SIZE * _SIZE * 3, len(labels))), bias)


def nearest_mean_classifier(images: Sequence[tuple[bytes, int]]) -> LinearClassifier:
    """Return a classifier that predicts the class with the nearest mean image, mostly correctly."""
    labels = sorted({label for _, label in images})
    pixels = preprocess_batch(tf.constant([content for content, _ in images]), _SIZE).numpy() / 255.0
    flat = pixels.reshape(len(images), -1)
    means = np.stack([flat[[each == label for _, each in images]].mean(axis=0) for label in labels])
    return LinearClassifier(labels, 2 * means.T, -(means**2).sum(axis=1))


@dataclass(frozen=True)
class LoggedModel:
    """A logged model, as train_classifier returns it."""

    run_id: str
    model_uri: str
    digest: str


def log_classifier(tracking_uri: str, artifacts: Path | None, model: LinearClassifier) -> LoggedModel:
    """Log a classifier in a new MLflow run.

    Args:
        tracking_uri: MLflow's tracking URI.
        artifacts: Folder of the experiment's artifacts; None for the server's default.
        model: The classifier.
    """
    mlflow.set_tracking_uri(tracking_uri)
    if mlflow.get_experiment_by_name("tests") is None:
        mlflow.create_experiment("tests", artifact_location=artifacts.as_uri() if artifacts else None)
    mlflow.set_experiment("tests")
    with mlflow.start_run() as run, TemporaryDirectory() as folder:
        logged = mlflow.tensorflow.log_model(
            model,
            name="model",
            saved_model_kwargs={"signatures": {"serving_default": model.serve}},
            pip_requirements=["tensorflow"],
        )
        downloaded = mlflow.artifacts.download_artifacts(logged.model_uri, dst_path=folder)
        digest = folder_digest(Path(downloaded) / SAVED_MODEL_FOLDER)
    # The code under test gets its registry as an argument, and must not find this one.
    mlflow.set_tracking_uri(None)
    return LoggedModel(run.info.run_id, logged.model_uri, digest)

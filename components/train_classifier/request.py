"""The request and the result of a training.

The two Python environments exchange them as JSON files.
"""

import hashlib
import json
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from components.parameters import Training, parse
from components.parameters.options import Integer
from components.parameters.training import (
    DEFAULT_EPOCHS,
    DEFAULT_IMAGE_SIZE,
    IMAGENET,
    RANDOM,
    BackboneName,
)
from components.preprocessing.version import PREPROCESSING_VERSION
from components.storage import uri
from components.storage.files import Files
from components.train_classifier import weights as weights_files
from components.training_set.trainings import REQUEST_FILE as REQUEST_FILE
from components.training_set.trainings import RESULT_FILE as RESULT_FILE
from components.training_set.trainings import RUN_FILE as RUN_FILE

FAILURE_FILE = "failure.json"
TIMELINE_FILE = "timeline.json"

# Version of the code that turns a training set and hyperparameters into a model: networks, learning rate, order of the
# images. Increment it with each change of that code, or trainings by earlier code count as finished. Version 1 divided
# the epochs by the number of ranks, and its learning rate was constant. Version 3 shuffled whole files, and its
# keys did not contain the version of the preprocessing.
TRAINING_VERSION = 4


class TrainingRequest(Training):
    """A training, with all defaults filled in.

    Attributes:
        training_set: URI of the training set's folder.
        ranks: Number of processes that train together.
        weights_sha256: SHA-256 of the file of weights, which identifies the file at any URI; empty without a file.
        mlflow_tracking_uri: MLflow's tracking URI.
        experiment: MLflow experiment of the run.
        run_directory: URI of the training's folder, for checkpoints and the result.
        features_directory: URI of the folder that caches features of frozen backbones.
        parent_run_id: Id of the parent of the training's MLflow run; empty without one.
    """

    training_set: str = Field(min_length=1)
    ranks: Integer = Field(1, ge=1)
    weights_sha256: str = ""
    mlflow_tracking_uri: str = Field(min_length=1)
    experiment: str = Field(min_length=1)
    run_directory: str = Field(min_length=1)
    features_directory: str = Field(min_length=1)
    parent_run_id: str = ""

    @model_validator(mode="before")
    @classmethod
    def _resolve(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Replace `0` and `""` with the defaults that they stand for."""
        resolved = dict(values)
        backbone = resolved.get("backbone", BackboneName.XCEPTION)
        if backbone in tuple(BackboneName) and resolved.get("image_size", 0) == 0:
            resolved["image_size"] = DEFAULT_IMAGE_SIZE[BackboneName(backbone)]
        if resolved.get("weights", "") in ("", IMAGENET):
            # `imagenet` is the pipelines' default, but the small network has no such weights.
            resolved["weights"] = RANDOM if backbone == BackboneName.SMALL else IMAGENET
        if resolved.get("epochs", 0) == 0:
            resolved["epochs"] = DEFAULT_EPOCHS
        return resolved

    @classmethod
    def make(cls, files: Files, **values: Any) -> Self:
        """Return a validated request.

        Args:
            files: Access to the file of weights.
            **values: Fields of the request.

        Raises:
            InputError: A value is invalid, or the file of weights does not exist.
        """
        request = parse(cls, values)
        return request if request.weights in (IMAGENET, RANDOM) else request.with_weights_of(request.weights, files)

    def with_weights_of(self, file: str, files: Files) -> Self:
        """Return the request with the weights of a file, and their SHA-256.

        Args:
            file: Absolute path or URI of the file, which is read once.
            files: Access to the file.

        Raises:
            InputError: The file does not exist or can't be read.
        """
        weights = uri.normalize(file, "weights")
        sha256 = weights_files.content_sha256(weights, files)
        return self.model_copy(update={"weights": weights, "weights_sha256": sha256})

    @property
    def is_frozen(self) -> bool:
        """Whether only the head is trained, and the backbone keeps its initial weights."""
        return self.backbone is BackboneName.XCEPTION

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Everything that the trained model depends on, except the training set."""
        other_fields = {
            "training_set",
            "mlflow_tracking_uri",
            "experiment",
            "run_directory",
            "features_directory",
            "timeline",
            "parent_run_id",
            "weights_sha256",
        }
        values = self.model_dump(mode="json", exclude=other_fields)
        return values | {"weights": f"sha256:{self.weights_sha256}"} if self.weights_sha256 else values

    def read_run_id(self, files: Files) -> str | None:
        """Return the id of the MLflow run of an earlier start, or None without one."""
        file = uri.join(self.run_directory, RUN_FILE)
        return str(json.loads(files.read_text(file))["run_id"]) if files.exists(file) else None

    def write_run_id(self, run_id: str, files: Files) -> None:
        """Store the id of the training's MLflow run for its next start."""
        files.write_text(uri.join(self.run_directory, RUN_FILE), json.dumps({"run_id": run_id}))

    def write(self, request_uri: str, files: Files) -> None:
        """Write the request as JSON to a URI."""
        files.write_text(request_uri, self.model_dump_json(indent=2))

    @classmethod
    def read(cls, request_uri: str, files: Files) -> Self:
        """Read a request from a URI."""
        return cls.model_validate_json(files.read_text(request_uri))


class EpochMetrics(BaseModel):
    """The metrics of an epoch over the images of all ranks.

    Attributes:
        epoch: Number of the epoch, from 1.
        loss: Mean cross entropy on the training images, with dropout.
        accuracy: Fraction of training images that are classified correctly, with dropout.
        val_loss: Mean cross entropy on the validation images.
        val_accuracy: Fraction of validation images that are classified correctly.
        images: Number of training images.
        val_images: Number of validation images.
        seconds: Duration of the epoch and its validation, in seconds.
    """

    model_config = ConfigDict(frozen=True)

    epoch: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    images: int
    val_images: int
    seconds: float


class TrainingResult(BaseModel):
    """The result of a training.

    Attributes:
        run_id: Id of the MLflow run.
        model_uri: URI of the logged model.
        model_digest: Digest of the model's SavedModel.
        training_set_id: Id of the training set.
        ranks: Number of ranks.
        history: Metrics of all epochs, including those of earlier starts.
        best_epoch: Number of the epoch whose weights the model has.
        first_epoch: Number of the first epoch of the last start.
        steps: Optimizer steps of all requested epochs.
        features_computed: Number of images whose features the frozen backbone computed. The features of other images
            were in the cache.
        weights_digests: Digest of the trained weights of each rank. All are equal.
        seconds: Duration of the last start until the model was logged, in seconds.
    """

    model_config = ConfigDict(frozen=True)

    run_id: str
    model_uri: str
    model_digest: str
    training_set_id: str
    ranks: int
    history: list[EpochMetrics]
    best_epoch: int
    first_epoch: int
    steps: int
    features_computed: int
    weights_digests: list[str]
    seconds: float

    @property
    def images_per_second(self) -> float:
        """Training images of all ranks per second.

        The time includes the validation of all epochs.
        """
        return sum(epoch.images for epoch in self.history) / sum(epoch.seconds for epoch in self.history)

    @property
    def best(self) -> EpochMetrics:
        """Metrics of the epoch whose weights the model has."""
        return self.history[self.best_epoch - 1]

    @property
    def metrics(self) -> dict[str, float]:
        """Metrics of the trained model by name."""
        best = self.best
        return {
            "loss": best.loss,
            "accuracy": best.accuracy,
            "validation_loss": best.val_loss,
            "validation_accuracy": best.val_accuracy,
            "best_epoch": best.epoch,
            "epochs": len(self.history),
            "images_per_second": self.images_per_second,
        }


def run_key(training_set_id: str, request: TrainingRequest) -> str:
    """Return the key of a training: 16 hexadecimal digits.

    A retry of a training has the same key. Another training has another key, and so has the same training by other
    code: a release with another version of the preprocessing or of the training trains anew.

    Args:
        training_set_id: Id of the training set.
        request: The training. The key depends on the content of a file of weights, but not on the file's URI. It does
            not depend on folders, timeline or parent run.
    """
    hyperparameters = sorted(request.hyperparameters.items())
    parts = (
        TRAINING_VERSION,
        PREPROCESSING_VERSION,
        training_set_id,
        hyperparameters,
        request.mlflow_tracking_uri,
        request.experiment,
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]

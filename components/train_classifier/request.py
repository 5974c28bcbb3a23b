"""What is asked of a training and what it answers, as JSON files between the two environments."""

import hashlib
import json
import math
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from components.errors import InputError
from components.storage import files, uri

REQUEST_FILE = "request.json"
RESULT_FILE = "result.json"
RUN_FILE = "run.json"
FAILURE_FILE = "failure.json"
TIMELINE_FILE = "timeline.json"

# The reference trains for 12 epochs in all, divided by the ranks.
_EPOCHS_OF_ONE_RANK = 12


class BackboneName(StrEnum):
    """The networks that there are."""

    XCEPTION = "xception"
    SMALL = "small"


DEFAULT_IMAGE_SIZE = {BackboneName.XCEPTION: 299, BackboneName.SMALL: 32}
# Below these, nothing is left of an image behind the last pooling layer.
SMALLEST_IMAGE_SIZE = {BackboneName.XCEPTION: 71, BackboneName.SMALL: 16}

IMAGENET = "imagenet"
RANDOM = "none"


class TrainingRequest(BaseModel):
    """A training. Its hyperparameters are resolved: none is left to a default of the worker.

    Attributes:
        training_set: URI of the training set's folder.
        backbone: `xception`, frozen, or `small`, trained from scratch.
        weights: The backbone's first weights: `imagenet`, a file of weights, or `none` for random ones; empty is
            `imagenet` for xception.
        image_size: Side of the model's input in pixels; 0 is the backbone's own.
        dropout: Fraction of the features dropped in training.
        learning_rate: Nadam's.
        batch_size: Images of each rank in a step.
        epochs: Epochs at most; 0 is 12 divided by the ranks, rounded up.
        patience: Epochs without a better validation accuracy before training stops; 0 never stops it.
        seed: Seed of weights, order and dropout.
        ranks: Processes that train together.
        mlflow_tracking_uri: MLflow's tracking URI.
        experiment: MLflow experiment of the run.
        run_directory: URI of the folder of checkpoints and of the result.
        features_directory: URI of the folder of the frozen backbone's features.
        timeline: Whether Horovod's timeline is logged.
        parent_run_id: MLflow run that the training's run is part of, or empty.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    training_set: str = Field(min_length=1)
    backbone: BackboneName = BackboneName.XCEPTION
    weights: str = IMAGENET
    image_size: int = Field(0, ge=0, le=4096)
    dropout: float = Field(0.5, ge=0, lt=1)
    learning_rate: float = Field(0.016, gt=0, allow_inf_nan=False)
    batch_size: int = Field(32, ge=1)
    epochs: int = Field(0, ge=0)
    patience: int = Field(3, ge=0)
    seed: int = Field(0, ge=0, lt=2**31)
    ranks: int = Field(1, ge=1)
    mlflow_tracking_uri: str = Field(min_length=1)
    experiment: str = Field(min_length=1)
    run_directory: str = Field(min_length=1)
    features_directory: str = Field(min_length=1)
    timeline: bool = False
    parent_run_id: str = ""

    @model_validator(mode="before")
    @classmethod
    def _resolve(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Put in what `0` and `""` stand for."""
        resolved = dict(values)
        backbone = resolved.get("backbone", BackboneName.XCEPTION)
        if backbone in tuple(BackboneName) and resolved.get("image_size", 0) == 0:
            resolved["image_size"] = DEFAULT_IMAGE_SIZE[BackboneName(backbone)]
        if resolved.get("weights", "") in ("", IMAGENET):
            # `imagenet` is the pipelines' default, and there are no such weights of the small network.
            resolved["weights"] = RANDOM if backbone == BackboneName.SMALL else IMAGENET
        ranks = resolved.get("ranks", 1)
        if resolved.get("epochs", 0) == 0 and isinstance(ranks, int) and ranks > 0:
            resolved["epochs"] = math.ceil(_EPOCHS_OF_ONE_RANK / ranks)
        return resolved

    @classmethod
    def make(cls, **values: Any) -> Self:
        """Return a request whose values have been checked.

        Raises:
            InputError: A value makes no sense, or the file of weights does not exist.
        """
        try:
            request = cls(**values)
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0]) if first["loc"] else "request"
            raise InputError(f"{name}: {first['msg']}, got {first['input']!r}. Give another value.") from error
        smallest = SMALLEST_IMAGE_SIZE[request.backbone]
        if request.image_size < smallest:
            raise InputError(
                f"image_size: {request.image_size} is less than {request.backbone.value} can take. "
                f"Give at least {smallest}, or 0 for {DEFAULT_IMAGE_SIZE[request.backbone]}."
            )
        file = request.weights_file
        if file is not None and request.backbone is BackboneName.SMALL:
            raise InputError("weights: the small backbone is trained from scratch. Leave them out, or take xception.")
        if file is not None and not file.is_file():
            raise InputError(
                f"weights: no file '{file}'. Give '{IMAGENET}', '{RANDOM}' or the path of a file of weights."
            )
        return request

    @property
    def weights_file(self) -> Path | None:
        """The file that the backbone's weights come from, if it is a file."""
        return None if self.weights in (IMAGENET, RANDOM) else Path(self.weights)

    @property
    def is_frozen(self) -> bool:
        """Whether the backbone keeps its first weights, so that only the head is trained."""
        return self.backbone is BackboneName.XCEPTION

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """What the trained model depends on, beside the training set."""
        elsewhere = {
            "training_set",
            "mlflow_tracking_uri",
            "experiment",
            "run_directory",
            "features_directory",
            "timeline",
            "parent_run_id",
        }
        return self.model_dump(mode="json", exclude=elsewhere)

    def read_run_id(self) -> str | None:
        """Return the id of the MLflow run that an earlier start of this training made, or None."""
        file = uri.join(self.run_directory, RUN_FILE)
        return str(json.loads(files.read_text(file))["run_id"]) if files.exists(file) else None

    def write_run_id(self, run_id: str) -> None:
        """Keep the id of the training's MLflow run for its next start."""
        files.write_text(uri.join(self.run_directory, RUN_FILE), json.dumps({"run_id": run_id}))

    def write(self, request_uri: str) -> None:
        """Write the request as JSON."""
        files.write_text(request_uri, self.model_dump_json(indent=2))

    @classmethod
    def read(cls, request_uri: str) -> Self:
        """Read what `write` wrote."""
        return cls.model_validate_json(files.read_text(request_uri))


class EpochMetrics(BaseModel):
    """What one epoch came to, over the images of all ranks.

    Attributes:
        epoch: Number, from 1.
        loss: Mean cross entropy on the training images, with dropout.
        accuracy: Fraction of training images classified right, with dropout.
        val_loss: Mean cross entropy on the validation images.
        val_accuracy: Fraction of validation images classified right.
        images: Training images that were counted.
        val_images: Validation images that were counted.
        seconds: How long it took.
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
    """What a training came to.

    Attributes:
        run_id: MLflow's id of the run.
        model_uri: URI of the logged model.
        model_digest: Digest of its SavedModel.
        training_set_id: Id of the training set.
        ranks: Ranks that trained.
        history: Its epochs, those before a restart too.
        best_epoch: The epoch whose weights the model has.
        first_epoch: The first epoch that was trained since the last restart.
        features_computed: Images that the frozen backbone was evaluated on; others' features were in the cache.
        weights_digests: Digest of the trained weights of each rank: all are the same.
        seconds: How long the last start took, to the model's logging.
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
    features_computed: int
    weights_digests: list[str]
    seconds: float

    @property
    def images_per_second(self) -> float:
        """Training images of all ranks, over the time of the epochs with their validation."""
        return sum(each.images for each in self.history) / sum(each.seconds for each in self.history)

    @property
    def best(self) -> EpochMetrics:
        """The epoch whose weights the model has."""
        return self.history[self.best_epoch - 1]

    @property
    def metrics(self) -> dict[str, float]:
        """The figures of the trained model."""
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
    """Return 16 hexadecimal digits that stand for a training: a retry has the same, another training another.

    Args:
        training_set_id: Id of the training set.
        request: The rest. Its folders, the timeline and the parent run do not count. Of a file of weights the content
            counts.
    """
    hyperparameters = sorted(request.hyperparameters.items())
    parts = training_set_id, hyperparameters, request.mlflow_tracking_uri, request.experiment, _file_digest(request)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _file_digest(request: TrainingRequest) -> str | None:
    if request.weights_file is None:
        return None
    with request.weights_file.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

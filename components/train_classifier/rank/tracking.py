"""The MLflow run of a training. All starts of a training share one run."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
import tensorflow as tf
from mlflow.environment_variables import MLFLOW_RUN_ID
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from tensorflow import keras

from components.container_images import VERSION
from components.preprocessing.digest import SAVED_MODEL_FOLDER, folder_digest
from components.preprocessing.version import PREPROCESSING_VERSION
from components.registry.tags import CODE_VERSION_TAG
from components.storage.files import Files
from components.train_classifier.rank.export import ExportedClassifier
from components.train_classifier.request import EpochMetrics, TrainingRequest
from components.training_set.manifest import TrainingSet

MODEL_NAME = "model"

# Metrics of an epoch that autologging logs, if it is on.
_AUTOLOGGED = {"loss", "accuracy", "val_loss", "val_accuracy"}


class Tracking:
    """The open MLflow run of a training.

    Args:
        run_id: Id of the run.
        resumed: Whether an earlier start trained epochs.
        tensorboard_folder: Local folder for TensorBoard's logs, which autologging copies to the run.

    Attributes:
        run_id: Id of the run.
    """

    def __init__(self, run_id: str, resumed: bool, tensorboard_folder: str) -> None:
        self.run_id = run_id
        self._resumed = resumed
        self._tensorboard_folder = tensorboard_folder

    @classmethod
    @contextmanager
    def open(
        cls, request: TrainingRequest, training_set: TrainingSet, resumed: bool, files: Files
    ) -> "Iterator[Tracking]":
        """Open the run that an earlier start of the training created, or create one.

        Args:
            request: The training.
            training_set: Its training set.
            resumed: Whether an earlier start trained epochs. If so, autologging is off, because it would refuse to log
                another first epoch.
            files: Access to the training's folder.
        """
        mlflow.set_tracking_uri(request.mlflow_tracking_uri)
        _open_experiment(request)
        existing_run_id = request.read_run_id(files)
        # This variable names the KFP task's MLflow run, which MLflow would use instead of the training's run.
        os.environ.pop(MLFLOW_RUN_ID.name, None)
        with TemporaryDirectory() as tensorboard_folder, mlflow.start_run(run_id=existing_run_id) as run:
            if existing_run_id is None:
                request.write_run_id(run.info.run_id, files)
            mlflow.log_params(request.hyperparameters)
            if request.parent_run_id:
                mlflow.set_tag(MLFLOW_PARENT_RUN_ID, request.parent_run_id)
            mlflow.set_tags(
                {
                    "training_set.id": training_set.id,
                    "training_set.uri": training_set.uri,
                    "preprocessing.version": PREPROCESSING_VERSION,
                    CODE_VERSION_TAG: VERSION,
                }
            )
            if request.weights_sha256:
                mlflow.set_tag("weights.uri", request.weights)
            # `log_model` logs the model, and `Checkpoint` replaces Keras's checkpoints. Autologging fails if a
            # parameter of `fit` differs from a hyperparameter of the same name: see `in_steps` about `batch_size`.
            mlflow.tensorflow.autolog(log_models=False, log_datasets=False, checkpoint=False, disable=resumed)
            yield cls(run.info.run_id, resumed, tensorboard_folder)

    def callbacks(self) -> list[keras.callbacks.Callback]:
        """Return the callbacks that autologging would otherwise create with other options."""
        if self._resumed:
            return []
        # Writing the graph makes the first step slow, and Keras warns of a slow callback.
        return [keras.callbacks.TensorBoard(self._tensorboard_folder, write_graph=False)]

    def log_epoch(self, metrics: EpochMetrics) -> None:
        """Log the metrics of an epoch that autologging does not log."""
        mlflow.log_metrics(_values(metrics, with_autologged=self._resumed), step=metrics.epoch - 1)

    def log_missing(self, history: Sequence[EpochMetrics]) -> None:
        """Log the metrics of earlier starts that the run lacks.

        A checkpoint is written before its epoch is logged, so an outage or a kill can leave an epoch out.

        Args:
            history: Metrics of all epochs of the checkpoint.
        """
        client = mlflow.MlflowClient()
        names = sorted(_AUTOLOGGED | {"images_per_second"})
        logged = {name: {point.step for point in client.get_metric_history(self.run_id, name)} for name in names}
        for metrics in history:
            step = metrics.epoch - 1
            values = _values(metrics, with_autologged=True)
            if missing := {name: value for name, value in values.items() if step not in logged[name]}:
                mlflow.log_metrics(missing, step=step)

    def log_file(self, path: Path) -> None:
        """Log a file as an artifact."""
        mlflow.log_artifact(str(path))

    def log_model(self, model: ExportedClassifier) -> tuple[str, str]:
        """Log a classifier, and return its URI and the digest of its SavedModel.

        Args:
            model: The classifier.
        """
        # MLflow warns that the model has no signature for Spark UDFs, and that the environment has no pip.
        with _errors_only("mlflow.tensorflow", "mlflow.utils.environment"):
            logged = mlflow.tensorflow.log_model(
                model,
                name=MODEL_NAME,
                saved_model_kwargs={"signatures": model.signatures},
                # Otherwise MLflow loads the model in another process to infer the requirements.
                pip_requirements=[f"tensorflow=={tf.__version__}"],
            )
        with TemporaryDirectory() as folder:
            # The digest is computed from the copy in the store, because later steps load this copy.
            downloaded = mlflow.artifacts.download_artifacts(logged.model_uri, dst_path=folder)
            digest = folder_digest(Path(downloaded) / SAVED_MODEL_FOLDER)
        mlflow.set_tag("model.digest", digest)
        return logged.model_uri, digest


def _values(metrics: EpochMetrics, with_autologged: bool) -> dict[str, float]:
    """Return the metrics of an epoch by their names in MLflow."""
    values = {"images_per_second": metrics.images / metrics.seconds}
    return values | metrics.model_dump(include=_AUTOLOGGED) if with_autologged else values


@contextmanager
def _errors_only(*loggers: str) -> Iterator[None]:
    """Raise the level of loggers to ERROR while the block runs."""
    levels = {logger: logger.level for logger in map(logging.getLogger, loggers)}
    for logger in levels:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)


def _open_experiment(request: TrainingRequest) -> None:
    scheme, _, database = request.mlflow_tracking_uri.partition(":///")
    if scheme == "sqlite" and mlflow.get_experiment_by_name(request.experiment) is None:
        # By default, MLflow would store artifacts in `mlruns` in the working directory of this process.
        artifacts = Path(database).absolute().parent / "artifacts" / request.experiment
        with suppress(MlflowException):  # another training created it in the meantime
            mlflow.create_experiment(request.experiment, artifact_location=artifacts.as_uri())
    mlflow.set_experiment(request.experiment)

"""The MLflow run of a training: one run, however often the training is started."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
from mlflow.environment_variables import MLFLOW_RUN_ID
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from components.build_training_set.training_set import TrainingSet
from components.images.digest import SAVED_MODEL_FOLDER, folder_digest
from components.train_classifier.export import ExportedClassifier
from components.train_classifier.request import EpochMetrics, TrainingRequest

MODEL_NAME = "model"


class Tracking:
    """An open run.

    Attributes:
        run_id: Its id.
    """

    def __init__(self, run_id: str, resumed: bool) -> None:
        self.run_id = run_id
        self._resumed = resumed

    @classmethod
    @contextmanager
    def open(cls, request: TrainingRequest, training_set: TrainingSet, resumed: bool) -> "Iterator[Tracking]":
        """Open the training's run: the one that an earlier start made, or a new one, never that of the KFP task.

        Args:
            request: What is trained.
            training_set: On what.
            resumed: Whether epochs were trained before. Autologging, which would refuse to log another first epoch,
                is off then.
        """
        mlflow.set_tracking_uri(request.mlflow_tracking_uri)
        _open_experiment(request)
        known = request.read_run_id()
        # That of the KFP task, which MLflow would take for this one.
        os.environ.pop(MLFLOW_RUN_ID.name, None)
        with mlflow.start_run(run_id=known) as run:
            if known is None:
                request.write_run_id(run.info.run_id)
            mlflow.log_params(request.hyperparameters)
            if request.parent_run_id:
                mlflow.set_tag(MLFLOW_PARENT_RUN_ID, request.parent_run_id)
            mlflow.set_tags({"training_set.id": training_set.id, "training_set.uri": training_set.uri})
            # The model is logged by `log_model`, the checkpoints are ours. Autologging gives up where a parameter of
            # `fit` has another value than ours of that name: `steps.in_steps` sees to `batch_size`.
            mlflow.tensorflow.autolog(log_models=False, log_datasets=False, checkpoint=False, disable=resumed)
            yield cls(run.info.run_id, resumed)

    def log_epoch(self, metrics: EpochMetrics) -> None:
        """Log what autologging does not."""
        values = {"images_per_second": metrics.images / metrics.seconds}
        if self._resumed:
            values |= metrics.model_dump(include={"loss", "accuracy", "val_loss", "val_accuracy"})
        mlflow.log_metrics(values, step=metrics.epoch - 1)

    def log_file(self, path: Path) -> None:
        """Log a file."""
        mlflow.log_artifact(str(path))

    def log_model(self, model: ExportedClassifier) -> tuple[str, str]:
        """Log a classifier, and return its URI and the digest of its SavedModel."""
        logged = mlflow.tensorflow.log_model(
            model,
            name=MODEL_NAME,
            saved_model_kwargs={"signatures": model.signatures},
            # Named here, because MLflow would load the model in another process to find them out.
            pip_requirements=[f"tensorflow=={version('tensorflow-cpu')}"],
        )
        with TemporaryDirectory() as folder:
            # What the store gives back, which is what will be loaded.
            downloaded = mlflow.artifacts.download_artifacts(logged.model_uri, dst_path=folder)
            digest = folder_digest(Path(downloaded) / SAVED_MODEL_FOLDER)
        mlflow.set_tag("model.digest", digest)
        return logged.model_uri, digest


def _open_experiment(request: TrainingRequest) -> None:
    scheme, _, database = request.mlflow_tracking_uri.partition(":///")
    if scheme == "sqlite" and mlflow.get_experiment_by_name(request.experiment) is None:
        # MLflow's own choice would be `mlruns` in whatever folder this process was started.
        artifacts = Path(database).absolute().parent / "artifacts" / request.experiment
        with suppress(MlflowException):  # another training made it in the meantime
            mlflow.create_experiment(request.experiment, artifact_location=artifacts.as_uri())
    mlflow.set_experiment(request.experiment)

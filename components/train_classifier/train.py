"""Train a classifier.

A step writes a request, starts the ranks with a launcher, and reads their result. A training is identified by a hash of
everything that it depends on, and has one folder in the lake. A retry resumes from the last checkpoint in this folder.
A finished training is not run again.
"""

import json
import logging
from collections.abc import Callable
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import LifecycleStage
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

from components.errors import InputError, TransientError
from components.lock import writer_lock
from components.parameters.training import IMAGENET
from components.settings import Settings
from components.storage import uri
from components.storage.files import Files
from components.train_classifier.heartbeat import renew_heartbeat
from components.train_classifier.launcher import AdoptedJobFailed, Launcher, RankKilled
from components.train_classifier.launchers import make_launcher
from components.train_classifier.mlflow_context import MLflowContext
from components.train_classifier.request import (
    FAILURE_FILE,
    REQUEST_FILE,
    RESULT_FILE,
    TrainingRequest,
    TrainingResult,
    run_key,
)
from components.train_classifier.weights import lake_weights_uri
from components.training_set.features import FEATURES_FOLDER
from components.training_set.manifest import TrainingSet
from components.training_set.trainings import RUNS_FOLDER as RUNS_FOLDER
from components.training_set.trainings import training_lock

logger = logging.getLogger(__name__)


def train(
    settings: Settings, training_set: str, launcher: Launcher | None = None, **parameters: Any
) -> tuple[TrainingRequest, TrainingResult]:
    """Train a classifier, or return the result if the same training is finished.

    Idempotent. An attempt that returns or raises leaves nothing running. If an attempt is killed, the next one adopts
    or deletes its job.

    Args:
        settings: Settings with the lake, the launcher, the tracking server and the experiment.
        training_set: URI of the training set.
        launcher: Launcher of the ranks; None takes it from the settings.
        **parameters: Fields of `TrainingRequest`.

    Returns:
        The request with all defaults filled in, and the result.

    Raises:
        InputError: A parameter is invalid, or does not fit the training set, or a rank needs more memory.
        RuntimeError: A rank failed, or the training made no progress. A retry resumes from the last checkpoint.
        TransientError: A rank failed because a server is unavailable, or Kubernetes ended its pod. A retry resumes
            from the last checkpoint.
        TimeoutError: Another task runs the same training, or the job of an earlier attempt does not end.
        LockLost: Another task took over the training. Its job keeps running.
    """
    launcher = launcher or make_launcher(settings)
    files = Files.of(settings)
    root = uri.normalize(settings.required("lake"), "lake")
    manifest = TrainingSet.read(training_set, files)
    mlflow_context = MLflowContext.of(settings)
    values = {
        **parameters,
        "training_set": training_set,
        "mlflow_tracking_uri": settings.required("mlflow_tracking_uri"),
        "experiment": mlflow_context.experiment,
        "parent_run_id": mlflow_context.parent_run_id,
        "features_directory": uri.join(root, FEATURES_FOLDER),
    }
    resolved = _with_lake_weights(TrainingRequest.make(files, **values, run_directory=root), root, files)
    key = run_key(manifest.id, resolved)
    request = resolved.model_copy(update={"run_directory": uri.join(root, RUNS_FOLDER, key)})
    request_uri = uri.join(request.run_directory, REQUEST_FILE)
    with writer_lock(root, training_lock(key), settings.lock_timeout_seconds, settings.lock) as check_lock:

        def clean_up() -> bool:
            # A task that took over the lock may have adopted the job.
            check_lock()
            return launcher.clean_up(request_uri)

        try:
            result = _read_finished(request, clean_up, files)
            if result is None:
                _check_segments(manifest, files)
                with renew_heartbeat(request.run_directory, settings.heartbeat_timeout_seconds, files):
                    result = _run(request, launcher, request_uri, files)
        finally:
            clean_up()
        return request, result


def _with_lake_weights(request: TrainingRequest, lake: str, files: Files) -> TrainingRequest:
    """Return the request with ImageNet weights from the lake, if the lake has them."""
    weights = lake_weights_uri(lake, request.backbone.value, request.weights)
    return request.with_weights_of(weights, files) if request.weights == IMAGENET and files.exists(weights) else request


def _check_segments(training_set: TrainingSet, files: Files) -> None:
    """Raise an error if segments of the training set were deleted. Ranks would fail in the middle of an epoch."""
    existing = set(files.list_names(training_set.segments_uri))
    missing = [each.name for each in training_set.segments if f"{each.name}.parquet" not in existing]
    if missing:
        raise InputError(
            f"training_set: {len(missing)} of the {len(training_set.segments)} segments of '{training_set.uri}' were"
            f" deleted, e.g. '{training_set.segment_uri(missing[0])}'. Run build_training_set again."
        )


def _read_finished(request: TrainingRequest, clean_up: Callable[[], bool], files: Files) -> TrainingResult | None:
    """Return the result of a finished training, or None.

    If the training's MLflow run was deleted, its folder is removed.

    Args:
        request: The training.
        clean_up: Stops the ranks that an earlier attempt left running, and returns whether they ended.
        files: Access to the training's folder.

    Raises:
        MlflowException: MLflow is unavailable. Nothing is removed.
        TimeoutError: The job of an earlier attempt still runs, and would write to the removed folder.
    """
    run_id = request.read_run_id(files)
    if run_id and not _run_exists(run_id, request.mlflow_tracking_uri):
        if not clean_up():
            raise TimeoutError(
                f"the MLflow run of the training in '{request.run_directory}' was deleted, but the training's job does"
                " not end. Check which of the job's pods is stuck, and run this step again."
            )
        files.remove_folder(request.run_directory)
    result = uri.join(request.run_directory, RESULT_FILE)
    return TrainingResult.model_validate_json(files.read_text(result)) if files.exists(result) else None


def _run_exists(run_id: str, tracking_uri: str) -> bool:
    try:
        run = MlflowClient(tracking_uri).get_run(run_id)
    except MlflowException as error:
        if error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            return False
        raise
    return bool(run.info.lifecycle_stage == LifecycleStage.ACTIVE)


def _run(request: TrainingRequest, launcher: Launcher, request_uri: str, files: Files) -> TrainingResult:
    failure, result = (uri.join(request.run_directory, name) for name in (FAILURE_FILE, RESULT_FILE))
    request.write(request_uri, files)
    files.remove(failure)
    try:
        try:
            launcher.launch(request_uri, request.ranks)
        except AdoptedJobFailed as error:
            logger.warning("%s. A new job resumes the training from its last checkpoint.", error)
            files.remove(failure)
            launcher.launch(request_uri, request.ranks)
    except RankKilled as error:
        kind = TransientError if error.transient else RuntimeError
        raise kind(str(error)) from error
    except RuntimeError as error:
        if files.exists(failure):
            _raise_failure(json.loads(files.read_text(failure)), error)
        raise
    return TrainingResult.model_validate_json(files.read_text(result))


def _raise_failure(failure: dict[str, Any], error: RuntimeError) -> None:
    """Raise the error of the first rank that failed, which is closer to the cause than the launcher's error.

    Args:
        failure: The error as the rank wrote it.
        error: The launcher's error.
    """
    if failure["kind"] == InputError.__name__:
        raise InputError(failure["message"]) from error
    kind = TransientError if failure.get("transient") else RuntimeError
    raise kind(f"rank {failure['rank']} of the training failed: {failure['kind']}: {failure['message']}") from error

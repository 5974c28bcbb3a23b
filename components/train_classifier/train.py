"""Train a classifier: ask for it, let a launcher run the ranks, and read what they left.

A training is known by a hash of all that it depends on, and has one folder in the lake: a retry goes on from the last
checkpoint there, and a training that is finished is not run again.
"""

import json
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import LifecycleStage
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

from components.build_training_set.training_set import SplitName, TrainingSet
from components.errors import InputError
from components.lake.lock import writer_lock
from components.settings import Settings
from components.storage import files, uri
from components.train_classifier.heartbeat import renewed
from components.train_classifier.launchers import Launcher, make_launcher
from components.train_classifier.request import (
    FAILURE_FILE,
    REQUEST_FILE,
    RESULT_FILE,
    TrainingRequest,
    TrainingResult,
    run_key,
)
from components.train_classifier.task_run import TaskRun

RUNS_FOLDER = "training_runs"
FEATURES_FOLDER = "features"


def train(
    settings: Settings, training_set: str, launcher: Launcher | None = None, **parameters: Any
) -> tuple[TrainingRequest, TrainingResult]:
    """Train a classifier, unless the same training is finished already.

    Args:
        settings: Name the lake, the launcher, the tracking server and the experiment.
        training_set: URI of the training set.
        launcher: How the ranks are started; None takes it from the settings.
        **parameters: Fields of `TrainingRequest`.

    Returns:
        What was asked for, with all defaults put in, and what it came to.

    Raises:
        InputError: A parameter makes no sense, or this training set can't be trained on so.
        RuntimeError: A rank failed. A retry goes on from the last checkpoint.
        TimeoutError: The same training is being run by someone else.
    """
    root = uri.normalize(settings.required("lake"), "lake")
    members = TrainingSet.read(training_set)
    task_run = TaskRun.of(settings)
    values = {
        **parameters,
        "training_set": training_set,
        "mlflow_tracking_uri": settings.required("mlflow_tracking_uri"),
        "experiment": task_run.experiment,
        "parent_run_id": task_run.parent_run_id,
        "features_directory": uri.join(root, FEATURES_FOLDER),
    }
    key = run_key(members.id, TrainingRequest.make(**values, run_directory=root))
    request = TrainingRequest.make(**values, run_directory=uri.join(root, RUNS_FOLDER, key))
    _check_files(members, request.ranks)
    with writer_lock(root, f"training-{key}", settings.lock_timeout_seconds, settings.lock):
        result = _recorded(request)
        if result is None:
            with renewed(request.run_directory, settings.heartbeat_timeout_seconds):
                result = _run(request, launcher or make_launcher(settings))
        return request, result


def _check_files(training_set: TrainingSet, ranks: int) -> None:
    """Raise an error if there are fewer files than ranks, which share them."""
    for split in (SplitName.TRAIN, SplitName.VALIDATION):
        count = len(training_set.files[split])
        if count < ranks:
            raise InputError(
                f"ranks: {ranks} are more than the {count} {split.value} files of '{training_set.uri}'."
                f" Give at most {count}, or build the training set again with more files or more images."
            )


def _recorded(request: TrainingRequest) -> TrainingResult | None:
    """Return what a finished training came to. What MLflow does not know any more is removed, and trained again."""
    run_id = request.read_run_id()
    if run_id and not _is_known(run_id, request.mlflow_tracking_uri):
        files.remove_folder(request.run_directory)
    result = uri.join(request.run_directory, RESULT_FILE)
    return TrainingResult.model_validate_json(files.read_text(result)) if files.exists(result) else None


def _is_known(run_id: str, tracking_uri: str) -> bool:
    try:
        run = MlflowClient(tracking_uri).get_run(run_id)
    except MlflowException as error:
        if error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            return False
        raise
    return bool(run.info.lifecycle_stage == LifecycleStage.ACTIVE)


def _run(request: TrainingRequest, launcher: Launcher) -> TrainingResult:
    asked, failure, result = (
        uri.join(request.run_directory, name) for name in (REQUEST_FILE, FAILURE_FILE, RESULT_FILE)
    )
    request.write(asked)
    files.remove(failure)
    try:
        launcher.launch(asked, request.ranks)
    except RuntimeError as error:
        if files.exists(failure):
            _raise_reason(json.loads(files.read_text(failure)), error)
        raise
    return TrainingResult.model_validate_json(files.read_text(result))


def _raise_reason(reason: dict[str, Any], error: RuntimeError) -> None:
    """Raise what the first rank to fail said, which is nearer to the cause than what the launcher saw."""
    if reason["kind"] == InputError.__name__:
        raise InputError(reason["message"]) from error
    raise RuntimeError(
        f"rank {reason['rank']} of the training failed: {reason['kind']}: {reason['message']}"
    ) from error

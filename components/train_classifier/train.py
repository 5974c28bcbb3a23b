"""Train a classifier: ask for it, let a launcher run the ranks, and read what they left.

A training is known by a hash of all that it depends on, and has one folder in the lake: a retry goes on from the last
checkpoint there, and a training that is finished is not run again.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import LifecycleStage
from mlflow.environment_variables import MLFLOW_RUN_ID
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

from components.build_training_set.training_set import SplitName, TrainingSet
from components.errors import InputError
from components.lake import uri
from components.lake.lock import writer_lock
from components.settings import Settings
from components.train_classifier.launchers import Launcher, make_launcher
from components.train_classifier.request import (
    FAILURE_FILE,
    REQUEST_FILE,
    RESULT_FILE,
    RUN_FILE,
    TrainingRequest,
    TrainingResult,
    run_key,
)

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
    folder = uri.local_path(root)
    if folder is None:
        raise InputError(f"lake: ranks can't keep their checkpoints in '{root}' yet. Use a file:// lake.")
    members = TrainingSet.read(training_set)
    tracking_uri = settings.required("mlflow_tracking_uri")
    # The run that KFP's backend made for this task, which may be on another server.
    task_run = MLFLOW_RUN_ID.get()
    values = {
        **parameters,
        "training_set": training_set,
        "mlflow_tracking_uri": tracking_uri,
        "experiment": settings.required("experiment"),
        "features_directory": folder / FEATURES_FOLDER,
        "parent_run_id": task_run if task_run and _is_known(task_run, tracking_uri) else "",
    }
    key = run_key(members.id, TrainingRequest.make(**values, run_directory=folder))
    request = TrainingRequest.make(**values, run_directory=folder / RUNS_FOLDER / key)
    _check_files(members, request.ranks)
    with writer_lock(root, f"training-{key}", settings.lock_timeout_seconds):
        return request, _recorded(request) or _run(request, launcher or make_launcher(settings))


def _check_files(training_set: TrainingSet, ranks: int) -> None:
    """Raise an error if there are fewer files than ranks, which share them."""
    for split in (SplitName.TRAIN, SplitName.VALIDATION):
        files = len(training_set.files[split])
        if files < ranks:
            raise InputError(
                f"ranks: {ranks} are more than the {files} {split.value} files of '{training_set.uri}'."
                f" Give at most {files}, or build the training set again with more files or more images."
            )


def _recorded(request: TrainingRequest) -> TrainingResult | None:
    """Return what a finished training came to. What MLflow does not know any more is removed, and trained again."""
    folder = request.run_directory
    run_file, result_file = folder / RUN_FILE, folder / RESULT_FILE
    if run_file.is_file() and not _is_known(json.loads(run_file.read_text())["run_id"], request.mlflow_tracking_uri):
        shutil.rmtree(folder)
    return TrainingResult.model_validate_json(result_file.read_bytes()) if result_file.is_file() else None


def _is_known(run_id: str, tracking_uri: str) -> bool:
    try:
        run = MlflowClient(tracking_uri).get_run(run_id)
    except MlflowException as error:
        if error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            return False
        raise
    return bool(run.info.lifecycle_stage == LifecycleStage.ACTIVE)


def _run(request: TrainingRequest, launcher: Launcher) -> TrainingResult:
    folder = request.run_directory
    folder.mkdir(parents=True, exist_ok=True)
    request.write(folder / REQUEST_FILE)
    failure = folder / FAILURE_FILE
    failure.unlink(missing_ok=True)
    try:
        launcher.launch(folder / REQUEST_FILE, request.ranks)
    except RuntimeError as error:
        if failure.is_file():
            _raise_reason(failure, error)
        raise
    return TrainingResult.model_validate_json((folder / RESULT_FILE).read_bytes())


def _raise_reason(failure: Path, error: RuntimeError) -> None:
    """Raise what the first rank to fail said, which is nearer to the cause than what the launcher saw."""
    reason = json.loads(failure.read_text())
    if reason["kind"] == InputError.__name__:
        raise InputError(reason["message"]) from error
    raise RuntimeError(
        f"rank {reason['rank']} of the training failed: {reason['kind']}: {reason['message']}"
    ) from error

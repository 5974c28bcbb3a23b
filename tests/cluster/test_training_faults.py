"""A training that is interrupted on a cluster: it resumes from its checkpoint, and releases its GPUs.

The tasks are those of the training pipeline, in pods like those of Kubeflow Pipelines. The ranks are real.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
import yaml
from kubernetes import client

from components.storage import uri
from components.train_classifier.job_record import JOB_FILE
from components.train_classifier.request import RESULT_FILE, TrainingResult
from components.train_classifier.train import RUNS_FOLDER
from pipelines.platform import CONFIG_MAP
from tests.cluster.namespace import eventually
from tests.cluster.store import BUCKET, land_training_set, store_files
from tests.cluster.task_runs import RANK_SIZE, Ended, TaskFailed, TaskRuns
from tests.support.kubectl import get
from tests.support.servers import S3Server
from tests.support.training_set_factory import digits

# Three trainings. tests/cluster/test_mpijob.py has the faults of single jobs.
pytestmark = pytest.mark.slow

LAKE = f"s3a://{BUCKET}/interrupted"
EPOCHS = 150
PARAMETERS: dict[str, Any] = {
    "lake": LAKE,
    "backbone": "small",
    "epochs": EPOCHS,
    "ranks": 2,
    "training_options": {"learning_rate": 0.001, "patience": 0},
    # The test cluster's nodes declare GPUs but have none.
    "placement": {"gpus_per_rank": 0, **RANK_SIZE},
}
# The default is two minutes.
HEARTBEAT_TIMEOUT_SECONDS = 15
HEARTBEAT_SETTING = "IMAGE_PIPELINES_HEARTBEAT_TIMEOUT_SECONDS"
WORKERS = "training.kubeflow.org/job-role=worker"
LAUNCHERS = "training.kubeflow.org/job-role=launcher"


@dataclass
class Interrupted:
    """A training after two interruptions.

    Attributes:
        first_failure: End of the first task's output, after a worker was deleted.
        jobs_after_failure: MPIJobs that existed then.
        epochs_before: Lower bound of the completed epochs when the second task was terminated.
        terminated_phase: Phase of the second task's pod.
        training_outlived_task_seconds: Time from the end of that pod's container to the end of the launcher's.
        last: The third task, which completed the training.
        result: Result of the training.
        jobs_at_end: MPIJobs that existed at the end.
        job: Record of the last MPIJob.
    """

    first_failure: str
    jobs_after_failure: list[Any]
    epochs_before: int
    terminated_phase: str
    training_outlived_task_seconds: float
    last: Ended
    result: TrainingResult
    jobs_at_end: list[Any]
    job: Any


@pytest.fixture(scope="module")
def training_set(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """URI of a training set in S3."""
    return land_training_set(tmp_path_factory.mktemp("training-set"), LAKE, digits(120))


@pytest.fixture(scope="module")
def impatient_runs(runs: TaskRuns) -> Iterator[TaskRuns]:
    """Runs whose ranks have a short timeout of the heartbeat."""

    def set_timeout(value: str | None) -> None:
        runs.core.patch_namespaced_config_map(CONFIG_MAP, runs.namespace, {"data": {HEARTBEAT_SETTING: value}})

    set_timeout(str(HEARTBEAT_TIMEOUT_SECONDS))
    yield runs
    set_timeout(None)


@pytest.fixture(scope="module")
def interrupted(impatient_runs: TaskRuns, training_set: str) -> Interrupted:
    """A training whose worker is deleted, whose second task is terminated, and whose third task completes."""
    runs = impatient_runs

    def jobs() -> list[Any]:
        return list(get("--namespace", runs.namespace, "mpijobs")["items"])

    def start() -> str:
        before = {"build-training-set": Ended("", "", {"training_set": training_set})}
        return runs.start("training", "train-classifier", before, **PARAMETERS)

    first = start()
    runs.while_running(first, lambda: epoch_of(runs, first) > 1)
    runs.core.delete_namespaced_pod(runs.pods(WORKERS)[0].metadata.name, runs.namespace)
    with pytest.raises(TaskFailed) as failure:
        runs.wait(first)
    jobs_after_failure = jobs()

    second = start()
    epochs_before = runs.while_running(second, lambda: epoch_of(runs, second))
    # Like "Terminate" in Kubeflow's UI, this stops the pod and does not delete it.
    runs.core.patch_namespaced_pod(second, runs.namespace, {"spec": {"activeDeadlineSeconds": 1}})
    task_end = eventually(lambda: end_of(runs.core.read_namespaced_pod(second, runs.namespace)))
    # The operator deletes the pods with a delay.
    eventually(lambda: not runs.pods(WORKERS))
    # The ranks ended the MPIJob: it still exists, and has failed.
    (abandoned,) = jobs()
    assert "Failed" in {each["type"] for each in abandoned["status"]["conditions"]}
    (launcher,) = runs.pods(LAUNCHERS)
    training_end = end_of(launcher)
    assert task_end
    assert training_end
    outlived = (training_end - task_end).total_seconds()
    terminated = runs.core.read_namespaced_pod(second, runs.namespace).status.phase

    last = runs.wait(start())
    files = store_files()
    (run,) = files.list_names(uri.join(LAKE, RUNS_FOLDER))
    folder = uri.join(LAKE, RUNS_FOLDER, run)
    result = TrainingResult.model_validate_json(files.read_text(uri.join(folder, RESULT_FILE)))
    job = yaml.safe_load(files.read_text(uri.join(folder, JOB_FILE)))
    return Interrupted(
        str(failure.value), jobs_after_failure, epochs_before, terminated, outlived, last, result, jobs(), job
    )


def epoch_of(runs: TaskRuns, task: str) -> int:
    """Return the last epoch in a task's output, or 0."""
    with suppress(client.ApiException):  # its container has not started
        epochs = re.findall(rf"^progress: epoch (\d+)/{EPOCHS} ", runs.log(task), re.MULTILINE)
        return int(epochs[-1]) if epochs else 0
    return 0


def end_of(pod: client.V1Pod) -> datetime | None:
    """Return the time when the only container of a pod ended, or None."""
    states = [status.state.terminated for status in pod.status.container_statuses or []]
    return states[0].finished_at if states and states[0] else None


def test_deleted_worker_raises_error_and_nothing_is_left(interrupted: Interrupted) -> None:
    last = interrupted.first_failure.splitlines()[-1]

    assert re.match(r"RuntimeError: .*training", last), interrupted.first_failure
    assert interrupted.jobs_after_failure == []


def test_ranks_of_a_terminated_task_release_their_gpus(interrupted: Interrupted) -> None:
    # Its workers were deleted before the next task started, while the task's pod still existed.
    assert interrupted.terminated_phase == "Failed"
    # Kubernetes rounds times to seconds.
    assert interrupted.training_outlived_task_seconds <= 2 * HEARTBEAT_TIMEOUT_SECONDS + 1


def test_each_start_resumes_from_the_last_checkpoint(interrupted: Interrupted) -> None:
    assert interrupted.epochs_before > 1
    assert interrupted.result.first_epoch > interrupted.epochs_before
    assert [each.epoch for each in interrupted.result.history] == list(range(1, EPOCHS + 1))
    assert {each.images for each in interrupted.result.history} == {100}


def test_completed_training_leaves_no_job(interrupted: Interrupted) -> None:
    assert interrupted.last.outputs["run_id"] == interrupted.result.run_id
    assert interrupted.job["kind"] == "MPIJob"
    assert interrupted.job["spec"]["mpiReplicaSpecs"]["Worker"]["replicas"] == 2
    assert interrupted.jobs_at_end == []

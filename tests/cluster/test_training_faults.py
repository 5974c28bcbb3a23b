"""A training that is interrupted on a cluster: it names the cause, releases its GPUs, and resumes from its checkpoint.

The tasks are those of the training pipeline, in pods like those of Kubeflow Pipelines. The ranks are real.
"""

import re
from collections.abc import Iterator, Mapping
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
from tests.cluster.node_network import cut_network
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
# The default is half an hour. The ranks of the test cluster take up to half a minute until their first sign of life.
STALL_TIMEOUT_SECONDS = 60
NEXT_TRY = "Try 1 of 3 failed"
WORKERS = "training.kubeflow.org/job-role=worker"
LAUNCHERS = "training.kubeflow.org/job-role=launcher"


@dataclass
class Interrupted:
    """A training after two interruptions.

    Attributes:
        log: End of the first task's output, in which its second try has followed the deletion of a worker.
        jobs: Ids of the MPIJobs that existed in the first and in the second try.
        epochs_before: Lower bound of the completed epochs when the first task was terminated.
        terminated_phase: Phase of the first task's pod.
        training_outlived_task_seconds: Time from the end of that pod's container to the end of the launcher's.
        last: The second task, which completed the training.
        result: Result of the training.
        jobs_at_end: MPIJobs that existed at the end.
        job: Record of the last MPIJob.
    """

    log: str
    jobs: list[list[str]]
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
    """A training whose worker is deleted, whose task is terminated in its second try, and whose next task completes."""
    runs = impatient_runs

    def ids() -> list[str]:
        return [each["metadata"]["uid"] for each in jobs_of(runs)]

    first = start_training(runs, training_set)
    runs.while_running(first, lambda: epoch_of(runs, first) > 1)
    before = ids()
    runs.core.delete_namespaced_pod(runs.pods(WORKERS)[0].metadata.name, runs.namespace)
    epochs_before = runs.while_running(first, lambda: epoch_of(runs, first, after=NEXT_TRY))
    both = [before, ids()]
    log = runs.log(first)
    # Like "Terminate" in Kubeflow's UI, this stops the pod and does not delete it.
    runs.core.patch_namespaced_pod(first, runs.namespace, {"spec": {"activeDeadlineSeconds": 1}})
    task_end = eventually(lambda: end_of(runs.core.read_namespaced_pod(first, runs.namespace)))
    # The operator deletes the pods with a delay.
    eventually(lambda: not runs.pods(WORKERS))
    # The ranks ended the MPIJob: it still exists, and has failed.
    (abandoned,) = jobs_of(runs)
    assert "Failed" in {each["type"] for each in abandoned["status"]["conditions"]}
    (launcher,) = runs.pods(LAUNCHERS)
    training_end = end_of(launcher)
    assert task_end
    assert training_end
    outlived = (training_end - task_end).total_seconds()
    terminated = runs.core.read_namespaced_pod(first, runs.namespace).status.phase

    last = runs.wait(start_training(runs, training_set))
    files = store_files()
    (run,) = files.list_names(uri.join(LAKE, RUNS_FOLDER))
    folder = uri.join(LAKE, RUNS_FOLDER, run)
    result = TrainingResult.model_validate_json(files.read_text(uri.join(folder, RESULT_FILE)))
    job = yaml.safe_load(files.read_text(uri.join(folder, JOB_FILE)))
    return Interrupted(log, both, epochs_before, terminated, outlived, last, result, jobs_of(runs), job)


def start_training(
    runs: TaskRuns,
    training_set: str,
    settings: Mapping[str, str] | None = None,
    options: Mapping[str, Any] | None = None,
    placement: Mapping[str, Any] | None = None,
) -> str:
    """Start the task of a training, and return its pod's name.

    Args:
        runs: Starts the task.
        training_set: URI of the training set.
        settings: Settings of the task, but not of its ranks.
        options: Training options that differ from those of `PARAMETERS`.
        placement: Keys of the placement that differ.
    """
    before = {"build-training-set": Ended("", "", {"training_set": training_set})}
    parameters = PARAMETERS | {
        "training_options": PARAMETERS["training_options"] | (options or {}),
        "placement": PARAMETERS["placement"] | (placement or {}),
    }
    return runs.start("training", "train-classifier", before, settings, **parameters)


def jobs_of(runs: TaskRuns) -> list[Any]:
    """Return the MPIJobs that exist."""
    return list(get("--namespace", runs.namespace, "mpijobs")["items"])


def epoch_of(runs: TaskRuns, task: str, after: str = "") -> int:
    """Return the last epoch in a task's output, or 0.

    Args:
        runs: Has the output.
        task: Name of the task's pod.
        after: Text before which epochs do not count.
    """
    with suppress(client.ApiException):  # its container has not started
        said = runs.log(task).partition(after)[2] if after else runs.log(task)
        epochs = re.findall(rf"^progress: epoch (\d+)/{EPOCHS} ", said, re.MULTILINE)
        return int(epochs[-1]) if epochs else 0
    return 0


def end_of(pod: client.V1Pod) -> datetime | None:
    """Return the time when the only container of a pod ended, or None."""
    states = [status.state.terminated for status in pod.status.container_statuses or []]
    return states[0].finished_at if states and states[0] else None


def test_task_goes_on_with_another_job_after_a_worker_was_deleted(interrupted: Interrupted) -> None:
    reason = r"the pod '.*-worker-[01]' of rank [01] (was deleted|no longer exists: .*)\. The next start of the"
    assert re.search(f"{NEXT_TRY}, the next one starts in 10 s: {reason}", interrupted.log), interrupted.log
    first, second = interrupted.jobs
    assert len(first) == len(second) == 1
    assert first != second


def test_ranks_of_a_terminated_task_release_their_gpus(interrupted: Interrupted) -> None:
    # Its workers were deleted before the next task started, while the task's pod still existed.
    assert interrupted.terminated_phase == "Failed"
    # Kubernetes rounds times to seconds.
    assert interrupted.training_outlived_task_seconds <= 2 * HEARTBEAT_TIMEOUT_SECONDS + 1


def test_each_start_resumes_from_the_last_checkpoint(interrupted: Interrupted) -> None:
    # The second try resumed, too.
    assert interrupted.epochs_before > 1
    assert interrupted.result.first_epoch > interrupted.epochs_before
    assert [each.epoch for each in interrupted.result.history] == list(range(1, EPOCHS + 1))
    assert {each.images for each in interrupted.result.history} == {100}


def test_completed_training_leaves_no_job(interrupted: Interrupted) -> None:
    assert interrupted.last.outputs["run_id"] == interrupted.result.run_id
    assert interrupted.job["kind"] == "MPIJob"
    assert interrupted.job["spec"]["mpiReplicaSpecs"]["Worker"]["replicas"] == 2
    assert interrupted.jobs_at_end == []


@pytest.mark.slow
def test_ranks_out_of_memory_raise_error_with_the_limit_and_the_parameter(
    impatient_runs: TaskRuns, training_set: str
) -> None:
    # The activations of a step alone take 1 GiB.
    task = start_training(
        impatient_runs, training_set, options={"image_size": 128, "batch_size": 512}, placement={"rank_memory": "512Mi"}
    )

    with pytest.raises(TaskFailed) as failure:
        impatient_runs.wait(task)

    last = str(failure.value).splitlines()[-1]
    reason = r"rank_memory: .*rank [01] .*its memory limit of 512 MiB.*\. Raise rank_memory of the parameter placement"
    assert re.match(rf"[\w.]*InputError: {reason}", last), failure.value
    assert jobs_of(impatient_runs) == []
    assert impatient_runs.pods(WORKERS) == []


@pytest.mark.slow
def test_training_ends_and_releases_its_gpus_when_the_network_of_a_worker_is_cut(
    impatient_runs: TaskRuns, training_set: str
) -> None:
    runs = impatient_runs
    settings = {"IMAGE_PIPELINES_STALL_TIMEOUT_SECONDS": str(STALL_TIMEOUT_SECONDS)}
    task = start_training(runs, training_set, settings, options={"seed": 1})
    runs.while_running(task, lambda: epoch_of(runs, task) > 1)
    (worker,) = (pod.metadata.name for pod in runs.pods(WORKERS) if pod.metadata.name.endswith("-worker-1"))

    cut_network(worker)
    with pytest.raises(TaskFailed) as failure:
        runs.wait(task)

    last = str(failure.value).splitlines()[-1]
    assert f"the training made no step for {STALL_TIMEOUT_SECONDS} s, so its ranks were ended." in last, failure.value
    assert "rank 0 at epoch " in last
    assert "rank 1 at epoch " in last
    assert jobs_of(runs) == []
    assert runs.pods(WORKERS) == []

"""A training that is disturbed on a cluster: it goes on from its checkpoint, and holds GPUs for nobody.

The tasks are the training pipeline's own, in pods as Kubeflow Pipelines would start them; the ranks are real ones.
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
import yaml
from kubernetes import client

from components.build_training_set.training_set import MANIFEST, SplitName
from components.storage import files, uri
from components.train_classifier.job_file import JOB_FILE
from components.train_classifier.request import RESULT_FILE, TrainingResult
from components.train_classifier.train import RUNS_FOLDER
from pipelines.platform import CONFIG_MAP
from tests.cluster.kubectl import get
from tests.cluster.namespace import eventually
from tests.cluster.store import BUCKET
from tests.cluster.task_runs import Ended, TaskFailed, TaskRuns
from tests.local.training_set_factory import digits, make_training_set
from tests.services.servers import S3Server

LAKE = f"s3a://{BUCKET}/disturbed"
EPOCHS = 150
PARAMETERS: dict[str, Any] = {
    "lake": LAKE,
    "backbone": "small",
    "learning_rate": 0.001,
    "epochs": EPOCHS,
    "patience": 0,
    "ranks": 2,
}
# Instead of the two minutes that it is by default.
HEARTBEAT = {"IMAGE_PIPELINES_HEARTBEAT_TIMEOUT_SECONDS": "15"}
WORKERS = "training.kubeflow.org/job-role=worker"


@dataclass
class Disturbed:
    """What became of a training.

    Attributes:
        first_failure: What the task printed in the end after a worker was deleted.
        jobs_after_it: The jobs that were left then.
        epochs_before: Epochs that were done when the second task was terminated, or more.
        terminated: The phase of its pod.
        last: The third task, that ended the training.
        result: What it came to.
        jobs_in_the_end: The jobs that were left.
        job: What ran last, as it is kept beside the checkpoints.
    """

    first_failure: str
    jobs_after_it: list[Any]
    epochs_before: int
    terminated: str
    last: Ended
    result: TrainingResult
    jobs_in_the_end: list[Any]
    job: Any


@pytest.fixture(scope="module")
def training_set(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """URI of a training set in S3."""
    folder = tmp_path_factory.mktemp("training-set")
    images = digits(120)
    made = make_training_set(folder, {SplitName.TRAIN: images[:100], SplitName.VALIDATION: images[100:]}, files=2)
    there = uri.join(LAKE, "training_sets", made.id)
    for path in (path for paths in made.files.values() for path in paths):
        files.write_bytes(uri.join(there, path), (folder / path).read_bytes())
    files.write_text(uri.join(there, MANIFEST), made.model_copy(update={"uri": there}).model_dump_json())
    return there


@pytest.fixture(scope="module")
def disturbed(runs: TaskRuns, training_set: str) -> Disturbed:
    """A training whose worker is deleted, whose next task is terminated, and that the third one ends."""

    def jobs() -> list[Any]:
        return list(get("--namespace", runs.namespace, "mpijobs")["items"])

    def start() -> str:
        before = {"build-training-set": Ended("", "", {"training_set": training_set})}
        return runs.start("training", "train-classifier", before, **PARAMETERS)

    runs.core.patch_namespaced_config_map(CONFIG_MAP, runs.namespace, {"data": HEARTBEAT})
    first = start()
    runs.while_running(first, lambda: epoch_of(runs, first) > 1)
    runs.core.delete_namespaced_pod(runs.pods(WORKERS)[0].metadata.name, runs.namespace)
    with pytest.raises(TaskFailed) as failure:
        runs.wait(first)
    jobs_after_it = jobs()

    second = start()
    epochs_before = runs.while_running(second, lambda: epoch_of(runs, second))
    # As "Terminate" in Kubeflow's UI does it: the pod is ended, and stays.
    runs.core.patch_namespaced_pod(second, runs.namespace, {"spec": {"activeDeadlineSeconds": 1}})
    # The promise is twice the timeout; the operator takes its own time to end the pods.
    eventually(lambda: not runs.pods(WORKERS), seconds=60)
    # Nobody but the ranks ended it: it is there, and failed.
    (abandoned,) = jobs()
    assert "Failed" in {each["type"] for each in abandoned["status"]["conditions"]}
    terminated = runs.core.read_namespaced_pod(second, runs.namespace).status.phase

    last = runs.wait(start())
    (run,) = files.list_names(uri.join(LAKE, RUNS_FOLDER))
    folder = uri.join(LAKE, RUNS_FOLDER, run)
    result = TrainingResult.model_validate_json(files.read_text(uri.join(folder, RESULT_FILE)))
    job = yaml.safe_load(files.read_text(uri.join(folder, JOB_FILE)))
    return Disturbed(str(failure.value), jobs_after_it, epochs_before, terminated, last, result, jobs(), job)


def epoch_of(runs: TaskRuns, task: str) -> int:
    """Return the last epoch that a task told of, or 0."""
    with suppress(client.ApiException):  # its container has not started
        told = re.findall(rf"^progress: epoch (\d+)/{EPOCHS} ", runs.log(task), re.MULTILINE)
        return int(told[-1]) if told else 0
    return 0


def test_a_worker_that_is_deleted_is_one_clear_error_and_nothing_is_left(disturbed: Disturbed) -> None:
    last = disturbed.first_failure.splitlines()[-1]

    assert re.match(r"RuntimeError: .*training", last), disturbed.first_failure
    assert disturbed.jobs_after_it == []


def test_a_terminated_task_s_gpus_are_freed_by_the_ranks_themselves(disturbed: Disturbed) -> None:
    # Its workers were gone before the next task was started, with the task's pod still there.
    assert disturbed.terminated == "Failed"


def test_each_start_goes_on_from_the_checkpoint_of_the_one_before(disturbed: Disturbed) -> None:
    assert disturbed.epochs_before > 1
    assert disturbed.result.first_epoch > disturbed.epochs_before
    assert [each.epoch for each in disturbed.result.history] == list(range(1, EPOCHS + 1))
    assert {each.images for each in disturbed.result.history} == {100}


def test_nothing_is_left_in_the_end(disturbed: Disturbed) -> None:
    assert disturbed.last.outputs["run_id"] == disturbed.result.run_id
    assert disturbed.job["kind"] == "MPIJob"
    assert disturbed.job["spec"]["mpiReplicaSpecs"]["Worker"]["replicas"] == 2
    assert disturbed.jobs_in_the_end == []

"""Trainings whose task is killed: the next attempt completes them and leaves no MPIJob behind.

All trainings run at the same time, each in its own lake, because most of the time is waiting for pods.
"""

import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client
from mlflow import MlflowClient

from components.storage import uri
from components.storage.files import Files
from components.train_classifier.job_record import JOB_FILE
from components.train_classifier.mpijob.cluster import Object
from components.train_classifier.request import RESULT_FILE
from components.train_classifier.train import RUNS_FOLDER
from components.training_set.manifest import SplitName
from tests.cluster.killed_attempt import Attempt, Point, folder_of
from tests.cluster.namespace import Namespace, eventually
from tests.support.dropping_proxy import DroppingProxy
from tests.support.report_samples import training_result
from tests.support.servers import running_mlflow
from tests.support.task_attempt import KILLED, Outputs, run_all
from tests.support.training_results import record_result, record_run
from tests.support.training_set_factory import digits, make_training_set

pytestmark = pytest.mark.slow

RUN, OTHER_RUN = "image-training-first", "image-training-other"
# A job with this script runs until it is deleted.
FOREVER = "exec sleep 3600"
CHECKPOINT = "epoch-00001.npz"

# Point where the first attempt is killed, and run of the second attempt.
KILLS = {
    "created": (Point.AFTER_CREATION, RUN),
    "created, another run": (Point.AFTER_CREATION, OTHER_RUN),
    "recorded": (Point.BEFORE_DELETION, RUN),
    "recorded, another run": (Point.BEFORE_DELETION, OTHER_RUN),
    "during the deletion": (Point.DURING_DELETION, OTHER_RUN),
    "deleted": (Point.BEFORE_PUBLISHING, OTHER_RUN),
}
MLFLOW_UNAVAILABLE = "MLflow unavailable"
RUN_DELETED = "MLflow run deleted"
ADOPTED_FAILS = "adopted job fails"
TRAININGS = (*KILLS, MLFLOW_UNAVAILABLE, RUN_DELETED, ADOPTED_FAILS)


@dataclass
class Trainings:
    """Trainings, their attempts, and the state after each attempt.

    Attributes:
        namespace: Namespace of the MPIJobs.
        image: Image of the MPIJobs' pods.
        root: Folder with a folder for each training.
        training_set: URI of the training set.
        tracking_uri: MLflow's tracking URI.
        pods: Environment variables of a task, by run.
        attempts: All attempts, by training and number.
        codes: Exit codes of the attempts.
        jobs: Existing MPIJobs after each attempt.
        records: Job record after each attempt.
    """

    namespace: Namespace
    image: str
    root: Path
    training_set: str
    tracking_uri: str
    pods: Mapping[str, Mapping[str, str]]
    attempts: dict[tuple[str, int], Attempt] = field(default_factory=dict)
    codes: dict[tuple[str, int], int | None] = field(default_factory=dict)
    jobs: dict[tuple[str, int], list[Object]] = field(default_factory=dict)
    records: dict[tuple[str, int], Any] = field(default_factory=dict)

    def attempt(self, number: int, attempts: Mapping[str, Mapping[str, Any]]) -> None:
        """Attempt trainings at the same time, and record the state afterwards.

        Args:
            number: Number of the attempt, from 1.
            attempts: Fields of `Attempt` and the `run`, by training.
        """
        made = {(name, number): self._attempt(name, number, **fields) for name, fields in attempts.items()}
        self.attempts |= made
        self.codes |= dict(zip(made, run_all(*(attempt.run for attempt in made.values())), strict=True))
        for name, _ in made:
            folder = self.folder(name)
            self.jobs[name, number] = [job for job in self.namespace.mpijobs() if folder_of(job) == folder]
            self.records[name, number] = yaml.safe_load(Files().read_text(uri.join(folder, JOB_FILE)))

    def folder(self, name: str) -> str:
        """Return the URI of a training's folder."""
        runs = uri.join(self._lake(name), RUNS_FOLDER)
        (run,) = Files().list_names(runs)
        return uri.join(runs, run)

    def _attempt(self, name: str, number: int, run: str = RUN, **fields: Any) -> Attempt:
        parameters = {
            "training_set": self.training_set,
            "lake": self._lake(name),
            "backbone": "small",
            "ranks": 1,
        }
        environment = {
            **self.pods[run],
            "IMAGE_PIPELINES_MLFLOW_TRACKING_URI": self.tracking_uri,
            "IMAGE_PIPELINES_EXPERIMENT": "lost",
        }
        outputs = Outputs(self.root / name / str(number))
        return Attempt(outputs, parameters, self.image, environment, **{"work": record_result, **fields})

    def _lake(self, name: str) -> str:
        return (self.root / name / "lake").as_uri()


@pytest.fixture(scope="module")
def trainings(
    cluster: client.ApiClient, trainer_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Trainings]:
    """Trainings whose first attempt was killed, after later attempts."""
    folder = tmp_path_factory.mktemp("lost")
    images = digits(4)
    split = {SplitName.TRAIN: images[:2], SplitName.VALIDATION: images[2:]}
    namespace = Namespace.create(cluster, f"image-pipelines-{uuid.uuid4().hex[:8]}")
    proxy = DroppingProxy()
    with ExitStack() as servers, ThreadPoolExecutor(1) as pool, pytest.MonkeyPatch.context() as environment:
        environment.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        # The first attempts do not use MLflow, so its start does not delay them.
        starting = pool.submit(lambda: servers.enter_context(running_mlflow(folder)))
        made = Trainings(
            namespace=namespace,
            image=trainer_image,
            root=folder,
            training_set=make_training_set(folder / "set", split).uri,
            tracking_uri=f"http://127.0.0.1:{proxy.port}",
            pods={run: namespace.task_environment(run) for run in (RUN, OTHER_RUN)},
        )
        unfinished = {"dies": Point.AFTER_CREATION, "script": FOREVER, "work": lambda _: None}
        made.attempt(
            1,
            {
                **{name: {"dies": point} for name, (point, _) in KILLS.items()},
                MLFLOW_UNAVAILABLE: {"dies": Point.BEFORE_DELETION},
                RUN_DELETED: unfinished,
                ADOPTED_FAILS: unfinished,
            },
        )
        proxy.target = "127.0.0.1", int(starting.result().rpartition(":")[2])
        mlflow = MlflowClient(made.tracking_uri)
        record_result(made.folder(MLFLOW_UNAVAILABLE), mlflow.create_run("0").info.run_id)
        deleted_run = mlflow.create_run("0").info.run_id
        mlflow.delete_run(deleted_run)
        record_run(made.folder(RUN_DELETED), deleted_run)
        Files().write_text(uri.join(made.folder(RUN_DELETED), CHECKPOINT), "of the deleted run")
        made.attempt(
            2,
            {
                **{name: {"run": run} for name, (_, run) in KILLS.items()},
                RUN_DELETED: {},
                ADOPTED_FAILS: {"adopts": partial(delete_launcher, namespace)},
            },
        )
        proxy.close()
        made.attempt(2, {MLFLOW_UNAVAILABLE: {}})
        proxy.open()
        made.attempt(3, {MLFLOW_UNAVAILABLE: {}, "recorded": {}})
        yield made
        proxy.close()
    namespace.delete()


def delete_launcher(namespace: Namespace, job: Object) -> None:
    """Delete the launcher's pod of an MPIJob, so that the job fails."""
    selector = f"training.kubeflow.org/job-name={job['metadata']['name']},training.kubeflow.org/job-role=launcher"
    (pod,) = eventually(lambda: namespace.pods(selector))
    namespace.core.delete_namespaced_pod(pod.metadata.name, namespace.name)


def test_first_attempts_were_killed_at_their_points(trainings: Trainings) -> None:
    jobs = {name: len(trainings.jobs[name, 1]) for name in TRAININGS}

    assert {trainings.codes[name, 1] for name in TRAININGS} == {KILLED}
    # The deletion may be complete by now.
    assert jobs.pop("during the deletion") <= 1
    assert jobs.pop("deleted") == 0
    assert set(jobs.values()) == {1}


@pytest.mark.parametrize("name", [*KILLS, RUN_DELETED, ADOPTED_FAILS])
def test_next_attempt_returns_the_recorded_result_with_its_artifacts(name: str, trainings: Trainings) -> None:
    outputs = trainings.attempts[name, 2].outputs

    assert trainings.codes[name, 2] == 0, outputs.log
    result = training_result()
    assert outputs.returned[1:] == [result.model_uri, result.model_digest]
    assert "Validation accuracy" in outputs.report
    assert outputs.job["kind"] == "MPIJob"
    assert trainings.jobs[name, 2] == []


@pytest.mark.parametrize("name", [name for name, (point, _) in KILLS.items() if point != Point.AFTER_CREATION])
def test_successful_job_is_recorded_with_its_last_status(name: str, trainings: Trainings) -> None:
    job = trainings.attempts[name, 2].outputs.job

    assert job["metadata"]["name"].startswith(RUN)
    assert "Succeeded" in conditions(job)


def test_job_is_recorded_before_it_is_created(trainings: Trainings) -> None:
    for name in ("created", RUN_DELETED, ADOPTED_FAILS):
        (job,) = trainings.jobs[name, 1]
        assert trainings.records[name, 1]["metadata"]["name"] == job["metadata"]["name"]


def test_attempt_without_mlflow_fails_and_deletes_only_the_job(trainings: Trainings) -> None:
    outputs = trainings.attempts[MLFLOW_UNAVAILABLE, 2].outputs

    assert trainings.codes[MLFLOW_UNAVAILABLE, 2] == 1
    assert "mlflow.exceptions.MlflowException" in outputs.log
    assert trainings.jobs[MLFLOW_UNAVAILABLE, 2] == []
    assert "Succeeded" in conditions(trainings.records[MLFLOW_UNAVAILABLE, 2])


def test_attempt_after_an_outage_of_mlflow_publishes_the_training(trainings: Trainings) -> None:
    outputs = trainings.attempts[MLFLOW_UNAVAILABLE, 3].outputs

    assert trainings.codes[MLFLOW_UNAVAILABLE, 3] == 0, outputs.log
    assert outputs.returned[0]
    assert outputs.job == trainings.records[MLFLOW_UNAVAILABLE, 2]
    assert "Validation accuracy" in outputs.report


def test_attempt_at_a_published_training_returns_the_same(trainings: Trainings) -> None:
    second, third = (trainings.attempts["recorded", number].outputs for number in (2, 3))

    assert trainings.codes["recorded", 3] == 0, third.log
    assert (third.returned, third.job, third.report) == (second.returned, second.job, second.report)


def test_job_of_a_deleted_mlflow_run_is_replaced(trainings: Trainings) -> None:
    (old,) = trainings.jobs[RUN_DELETED, 1]
    folder = trainings.folder(RUN_DELETED)

    assert trainings.attempts[RUN_DELETED, 2].outputs.job["metadata"]["uid"] != old["metadata"]["uid"]
    assert Files().exists(uri.join(folder, RESULT_FILE))
    assert not Files().exists(uri.join(folder, CHECKPOINT))


def test_adopted_job_that_fails_is_replaced(trainings: Trainings) -> None:
    (old,) = trainings.jobs[ADOPTED_FAILS, 1]
    job = trainings.attempts[ADOPTED_FAILS, 2].outputs.job

    assert job["metadata"]["name"] == old["metadata"]["name"]
    assert job["metadata"]["uid"] != old["metadata"]["uid"]
    assert "Succeeded" in conditions(job)


def conditions(job: Object) -> set[str]:
    """Return the conditions of an MPIJob that are true."""
    return {item["type"] for item in job["status"]["conditions"] if item["status"] == "True"}

"""The loop on a cluster: each step is the committed pipelines' own, in a pod as Kubeflow Pipelines would start it.

Spark runs in executor pods, the ranks in an MPIJob, MLflow in its Deployment, and everything is stored in S3.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from kubernetes import client
from pyspark.sql import SparkSession

from components.lake import Lake
from components.lake.tables import IMAGES, LABELING_REQUESTS, LABELS, PREDICTIONS
from components.storage import files
from tests.cluster.kubectl import get, kubectl
from tests.cluster.store import ROOT, land, paths
from tests.cluster.task_runs import Ended, TaskRuns
from tests.local.training_set_factory import digits

# Ten tasks, each of which starts a pod and most of them a Spark, are one fixture.
pytestmark = pytest.mark.timeout(2400)

DIGITS = digits(120)
LABELLED, UNLABELLED = DIGITS[:100], DIGITS[100:]
EVERY_IMAGE: dict[str, Any] = {"threshold": 1.0, "fraction": 1.0, "audit_fraction": 1.0}
TRAINING: dict[str, Any] = {"backbone": "small", "epochs": 2, "ranks": 2}


@dataclass
class Loop:
    """What ran.

    Attributes:
        labelled: URIs of the images whose folder has their label.
        unlabelled: URIs of the other images.
        tasks: The training pipeline's tasks, by name.
        scored: The scoring pipeline's tasks, by name.
        answered: The labeling pipeline's first task.
        told: What the task said that tells how the scoring pipeline ended.
        executors: Executor pods that were seen beside the first ingest.
        workers: Worker pods that were seen beside the training.
    """

    labelled: list[str]
    unlabelled: list[str]
    tasks: dict[str, Ended]
    scored: dict[str, Ended]
    answered: Ended
    told: str
    executors: list[client.V1Pod]
    workers: list[client.V1Pod]


@pytest.fixture(scope="module")
def loop(runs: TaskRuns, spark: SparkSession) -> Loop:
    """The tasks of the pipelines, each with what those before it returned."""
    labelled = land("labelled/{label:03}.digit", LABELLED)
    unlabelled = land("arriving", UNLABELLED)

    driver = runs.start("training", "ingest-images")
    executors = runs.while_running(driver, lambda: both(runs.executors(driver)))
    tasks = {"ingest-images": runs.wait(driver)}
    tasks["build-training-set"] = runs.run("training", "build-training-set", tasks)
    submitter = runs.start("training", "train-classifier", tasks, **TRAINING)
    workers = runs.while_running(submitter, lambda: both(runs.pods("training.kubeflow.org/job-role=worker")))
    tasks["train-classifier"] = runs.wait(submitter)
    for name in ("evaluate-classifier", "register-model"):
        tasks[name] = runs.run("training", name, tasks)
    scored = {"ingest-images": runs.run("scoring", "ingest-images")}
    scored["score-images"] = runs.run("scoring", "score-images", scored)
    scored["export-for-labeling"] = runs.run("scoring", "export-for-labeling", scored, **EVERY_IMAGE)
    truth = [f"{uri},{label}" for uri, (_, label) in zip(unlabelled, UNLABELLED, strict=True)]
    files.write_text(f"{ROOT}/answers/people.csv", "\n".join(["path,label", *truth]))
    answered = runs.run("labeling", "import-labels")
    told = runs.log(runs.run("scoring", "notify").pod)
    return Loop(labelled, unlabelled, tasks, scored, answered, told, executors, workers)


def both(pods: list[client.V1Pod]) -> list[client.V1Pod]:
    """Return two pods that run, or none."""
    running = [pod for pod in pods if pod.status.phase == "Running"]
    return running if len(running) == 2 else []


def pools(pods: Sequence[client.V1Pod]) -> set[str]:
    """Return the pools that pods are in."""
    return {str(get("node", pod.spec.node_name)["metadata"]["labels"]["pool"]) for pod in pods}


def test_each_image_is_in_the_lake_once_and_each_unlabelled_one_is_scored_once(loop: Loop, spark: SparkSession) -> None:
    lake = Lake(spark, f"{ROOT}/lake")

    assert loop.tasks["ingest-images"].outputs["ingested"] == len(LABELLED)
    assert loop.scored["score-images"].outputs["scored"] == len(UNLABELLED)
    assert paths(lake, IMAGES) == Counter([*loop.labelled, *loop.unlabelled])
    assert paths(lake, PREDICTIONS) == Counter(loop.unlabelled)


def test_the_images_that_were_sent_to_people_come_back_with_their_labels(loop: Loop, spark: SparkSession) -> None:
    lake = Lake(spark, f"{ROOT}/lake")
    requests = lake.read(LABELING_REQUESTS).where("outcome = 'labelled'").select("path").collect()
    labels = {row["path"]: row["label"] for row in lake.read(LABELS).collect()}

    manifest = files.read_text(loop.scored["export-for-labeling"].outputs["manifest"])
    assert len(manifest.splitlines()) == loop.scored["export-for-labeling"].outputs["count"] == len(UNLABELLED)
    assert loop.answered.outputs["imported"] == len(UNLABELLED)
    assert labels == {uri: label for uri, (_, label) in zip(loop.unlabelled, UNLABELLED, strict=True)}
    assert sorted(row["path"] for row in requests) == sorted(loop.unlabelled)


def test_the_champion_that_scored_is_the_model_that_the_ranks_logged_to_the_server_in_the_cluster(
    loop: Loop, runs: TaskRuns
) -> None:
    run = loop.tasks["train-classifier"].outputs["run_id"]
    question = (
        "import json, mlflow; client = mlflow.MlflowClient('http://localhost:5000');"
        "version = client.get_model_version_by_alias('image-classifier', 'champion');"
        f"print(json.dumps([version.version, version.run_id, client.get_run('{run}').data.params]))"
    )

    answer = kubectl("-n", runs.namespace, "exec", "deploy/image-pipelines-mlflow", "--", "python3", "-c", question)

    version, trained_by, parameters = json.loads(answer.stdout.splitlines()[-1])
    assert (
        version
        == loop.tasks["register-model"].outputs["version"]
        == loop.scored["score-images"].outputs["model_version"]
    )
    assert trained_by == run
    assert parameters["ranks"] == "2"


def test_drivers_and_executors_run_in_the_cpu_pool_and_ranks_in_the_gpu_pool(loop: Loop) -> None:
    assert pools(loop.executors) == {"cpu"}
    assert pools(loop.workers) == {"gpu"}
    limits = [pod.spec.containers[0].resources.limits["nvidia.com/gpu"] for pod in loop.workers]
    assert limits == ["1", "1"]
    # One core each, and 640 MiB beside 1 GiB.
    for pod in loop.executors:
        resources = pod.spec.containers[0].resources
        assert resources.requests == resources.limits == {"cpu": "1", "memory": "1664Mi"}
    nodes = {ended.node for ended in (*loop.tasks.values(), *loop.scored.values(), loop.answered)}
    assert {get("node", node)["metadata"]["labels"]["pool"] for node in nodes} == {"cpu"}


def test_how_the_run_ended_is_told(loop: Loop) -> None:
    assert "scoring (run a-run) succeeded." in loop.told
    assert "No new image" not in loop.told


def test_nothing_is_left_of_executors_and_jobs(loop: Loop, runs: TaskRuns) -> None:
    assert not runs.pods("spark-role=executor")
    assert not runs.pods("training.kubeflow.org/job-name")
    assert not get("-n", runs.namespace, "mpijobs")["items"]

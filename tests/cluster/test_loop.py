"""The whole loop on a cluster: tasks of the committed pipelines, in pods like those of Kubeflow Pipelines.

Spark runs in executor pods, the ranks in an MPIJob, MLflow in its Deployment, and all data is in S3.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from kubernetes import client
from pyspark.sql import SparkSession

from components.container_images import ContainerImages
from components.lake import Lake
from components.lake.tables import IMAGES, LABELING_REQUESTS, LABELS, PREDICTIONS
from tests.cluster.store import ROOT, land, paths, store_files
from tests.cluster.task_runs import ONE_EXECUTOR, RANK_SIZE, Ended, TaskRuns
from tests.support.kubectl import get, kubectl
from tests.support.training_set_factory import digits

# Enough images for a first model that the gate accepts over the most frequent class.
DIGITS = digits(320)
LABELED, UNLABELED = DIGITS[:300], DIGITS[300:]
EVERY_IMAGE: dict[str, Any] = {"threshold": 1.0, "export_options": {"fraction": 1.0, "audit_fraction": 1.0}}
# The test cluster's nodes declare GPUs but have none. tests/cluster/test_gpu_ranks.py requests them.
TRAINING: dict[str, Any] = {
    "backbone": "small",
    "epochs": 5,
    "ranks": 2,
    "training_options": {"learning_rate": 0.002, "dropout": 0.0, "batch_size": 16},
    "placement": {"gpus_per_rank": 0, **RANK_SIZE},
}


@dataclass
class Loop:
    """The tasks of the loop, and the pods that they started.

    Attributes:
        labeled: URIs of the labeled images.
        unlabeled: URIs of the unlabeled images.
        training: Tasks of the training pipeline, by name.
        scoring: Tasks of the scoring pipeline, by name.
        import_labels: First task of the labeling pipeline.
        notification: Output of the scoring pipeline's task `notify`.
        executors: Executor pods during the first ingest.
        workers: Worker pods during the training.
    """

    labeled: list[str]
    unlabeled: list[str]
    training: dict[str, Ended]
    scoring: dict[str, Ended]
    import_labels: Ended
    notification: str
    executors: list[client.V1Pod]
    workers: list[client.V1Pod]


@pytest.fixture(scope="module")
def loop(runs: TaskRuns, spark: SparkSession) -> Loop:
    """The tasks of the pipelines, each with the outputs of the tasks before it."""
    labeled = land("labeled/{label:03}.digit", LABELED)
    unlabeled = land("arriving", UNLABELED)

    training = {"check-parameters": runs.run("training", "check-parameters", **TRAINING)}
    driver = runs.start("training", "ingest-images")
    executors = runs.while_running(driver, lambda: both(runs.executors(driver)))
    training["ingest-images"] = runs.wait(driver)
    training["build-training-set"] = runs.run("training", "build-training-set", training, ONE_EXECUTOR)
    submitter = runs.start("training", "train-classifier", training, **TRAINING)
    workers = runs.while_running(submitter, lambda: both(runs.pods("training.kubeflow.org/job-role=worker")))
    training["train-classifier"] = runs.wait(submitter)
    for name in ("evaluate-classifier", "register-model"):
        training[name] = runs.run("training", name, training)
    scoring = {"ingest-images": runs.run("scoring", "ingest-images", settings=ONE_EXECUTOR)}
    scoring["score-images"] = runs.run("scoring", "score-images", scoring, ONE_EXECUTOR)
    scoring["export-for-labeling"] = runs.run("scoring", "export-for-labeling", scoring, ONE_EXECUTOR, **EVERY_IMAGE)
    truth = [f"{uri},{label}" for uri, (_, label) in zip(unlabeled, UNLABELED, strict=True)]
    store_files().write_text(f"{ROOT}/answers/people.csv", "\n".join(["path,label", *truth]))
    import_labels = runs.run("labeling", "import-labels", settings=ONE_EXECUTOR)
    notification = runs.log(runs.run("scoring", "notify").pod)
    return Loop(labeled, unlabeled, training, scoring, import_labels, notification, executors, workers)


def both(pods: list[client.V1Pod]) -> list[client.V1Pod]:
    """Return the running pods if there are two, or else an empty list."""
    running = [pod for pod in pods if pod.status.phase == "Running"]
    return running if len(running) == 2 else []


def pools(pods: Sequence[client.V1Pod]) -> set[str]:
    """Return the node pools of pods."""
    return {str(get("node", pod.spec.node_name)["metadata"]["labels"]["pool"]) for pod in pods}


def test_each_image_is_ingested_once_and_each_unlabeled_image_is_scored_once(loop: Loop, spark: SparkSession) -> None:
    lake = Lake(spark, f"{ROOT}/lake")

    assert loop.training["ingest-images"].outputs["ingested"] == len(LABELED)
    assert loop.scoring["score-images"].outputs["scored"] == len(UNLABELED)
    assert paths(lake, IMAGES) == Counter([*loop.labeled, *loop.unlabeled])
    assert paths(lake, PREDICTIONS) == Counter(loop.unlabeled)


def test_exported_images_get_the_labels_of_people(loop: Loop, spark: SparkSession) -> None:
    lake = Lake(spark, f"{ROOT}/lake")
    requests = lake.read(LABELING_REQUESTS).where("outcome = 'labeled'").select("path").collect()
    labels = {row["path"]: row["label"] for row in lake.read(LABELS).collect()}

    manifest = store_files().read_text(loop.scoring["export-for-labeling"].outputs["manifest"])
    assert len(manifest.splitlines()) == loop.scoring["export-for-labeling"].outputs["count"] == len(UNLABELED)
    assert loop.import_labels.outputs["imported"] == len(UNLABELED)
    assert labels == {uri: label for uri, (_, label) in zip(loop.unlabeled, UNLABELED, strict=True)}
    assert sorted(row["path"] for row in requests) == sorted(loop.unlabeled)


def test_champion_is_the_model_that_the_ranks_logged_to_mlflow_in_the_cluster(loop: Loop, runs: TaskRuns) -> None:
    run = loop.training["train-classifier"].outputs["run_id"]
    program = (
        "import json, mlflow; client = mlflow.MlflowClient('http://localhost:5000');"
        "version = client.get_model_version_by_alias('image-classifier', 'champion');"
        f"print(json.dumps([version.version, version.run_id, client.get_run('{run}').data.params]))"
    )

    printed = kubectl("-n", runs.namespace, "exec", "deploy/image-pipelines-mlflow", "--", "python3", "-c", program)

    version, trained_by, parameters = json.loads(printed.stdout.splitlines()[-1])
    assert (
        version
        == loop.training["register-model"].outputs["version"]
        == loop.scoring["score-images"].outputs["model_version"]
    )
    assert trained_by == run
    assert parameters["ranks"] == "2"


def test_drivers_and_executors_run_in_the_cpu_pool_and_ranks_in_the_gpu_pool(loop: Loop) -> None:
    assert pools(loop.executors) == {"cpu"}
    assert pools(loop.workers) == {"gpu"}
    assert all("nvidia.com/gpu" not in pod.spec.containers[0].resources.limits for pod in loop.workers)
    assert {pod.spec.containers[0].image for pod in loop.workers} == {ContainerImages.committed().trainer_image}
    requests = [pod.spec.containers[0].resources.requests for pod in loop.workers]
    assert [(each["cpu"], each["memory"]) for each in requests] == [("500m", "1536Mi")] * 2
    # One core each, and 640 MiB of heap plus 1 GiB.
    for pod in loop.executors:
        resources = pod.spec.containers[0].resources
        assert resources.requests == resources.limits == {"cpu": "1", "memory": "1664Mi"}
    nodes = {ended.node for ended in (*loop.training.values(), *loop.scoring.values(), loop.import_labels)}
    assert {get("node", node)["metadata"]["labels"]["pool"] for node in nodes} == {"cpu"}


def test_notification_reports_the_end_of_the_run(loop: Loop) -> None:
    assert "scoring (run a-run) succeeded." in loop.notification
    assert "No new image" not in loop.notification


def test_executors_and_jobs_are_deleted(loop: Loop, runs: TaskRuns) -> None:
    assert not runs.pods("spark-role=executor")
    assert not runs.pods("training.kubeflow.org/job-name")
    assert not get("-n", runs.namespace, "mpijobs")["items"]

"""Spark's drivers and executors in pods, with failures and with concurrent writers."""

from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from kubernetes import client
from pyspark.sql import SparkSession

from components.lake import Lake
from components.lake.tables import IMAGES
from tests.cluster.namespace import eventually
from tests.cluster.store import ROOT, land, paths, store_files
from tests.cluster.task_runs import ONE_EXECUTOR, TaskFailed, TaskRuns
from tests.support.dropping_proxy import DroppingProxy
from tests.support.kubectl import get
from tests.support.servers import S3Server
from tests.support.training_set_factory import digits

# tests/cluster/test_loop.py has drivers and executors without failures.
pytestmark = pytest.mark.slow

DIGITS = digits(40)


def running(pods: list[client.V1Pod]) -> list[client.V1Pod]:
    return [pod for pod in pods if pod.status.phase == "Running"]


def test_executors_end_with_a_deleted_driver_and_the_next_attempt_ingests_each_image_once(
    runs: TaskRuns, spark: SparkSession
) -> None:
    lake, landed = f"{ROOT}/killed", land("killed-source/{label:03}.digit", DIGITS)
    parameters: dict[str, Any] = {"source": f"{ROOT}/killed-source", "lake": lake}
    driver = runs.start("training", "ingest-images", **parameters)
    runs.while_running(driver, lambda: running(runs.executors(driver)))

    runs.core.delete_namespaced_pod(driver, runs.namespace, grace_period_seconds=0)
    eventually(lambda: not runs.executors(driver))
    runs.run("training", "ingest-images", **parameters)

    assert paths(Lake(spark, lake), IMAGES) == Counter(landed)


@pytest.mark.slow
def test_two_drivers_write_all_their_rows_to_one_table_on_s3(
    runs: TaskRuns, spark: SparkSession, tmp_path: Path
) -> None:
    lake = f"{ROOT}/shared"
    # Otherwise one driver would create the lake while the other waits, and end before the other has executors.
    Lake(spark, lake, store_files(), lock=str(tmp_path)).create()
    landed = [land(f"shared-source-{half}", DIGITS[half::2]) for half in range(2)]
    drivers = [
        runs.start("training", "ingest-images", settings=ONE_EXECUTOR, source=f"{ROOT}/shared-source-{half}", lake=lake)
        for half in range(2)
    ]

    runs.while_running(drivers[0], lambda: all(running(runs.executors(each)) for each in drivers))
    ended = [runs.wait(driver) for driver in drivers]

    assert [each.outputs["ingested"] for each in ended] == [len(half) for half in landed]
    assert paths(Lake(spark, lake), IMAGES) == Counter([*landed[0], *landed[1]])


def test_each_image_is_ingested_once_although_the_api_server_restarts(
    runs: TaskRuns, spark: SparkSession, restart_api_server: Callable[[], None]
) -> None:
    lake, landed = f"{ROOT}/restarted", land("restarted-source/{label:03}.digit", DIGITS)
    parameters: dict[str, Any] = {"source": f"{ROOT}/restarted-source", "lake": lake}
    driver = runs.start("training", "ingest-images", settings=ONE_EXECUTOR, **parameters)
    runs.while_running(driver, lambda: running(runs.executors(driver)))

    restart_api_server()

    retry_if_failed(runs, driver, parameters)
    assert paths(Lake(spark, lake), IMAGES) == Counter(landed)
    eventually(lambda: not runs.pods("spark-role=executor"))
    assert not get("-n", runs.namespace, "leases")["items"]


def test_each_image_is_ingested_once_although_the_store_is_unavailable_for_30_seconds(
    runs: TaskRuns, spark: SparkSession, s3: S3Server
) -> None:
    lake, landed = f"{ROOT}/away", land("away-source/{label:03}.digit", DIGITS)
    parameters: dict[str, Any] = {"source": f"{ROOT}/away-source", "lake": lake}
    server = urlsplit(s3.url)
    host, port = str(server.hostname), server.port or 0
    with closing(DroppingProxy((host, port), host)) as proxy:
        settings = {**ONE_EXECUTOR, "IMAGE_PIPELINES_S3_ENDPOINT": f"http://{host}:{proxy.port}"}
        driver = runs.start("training", "ingest-images", settings=settings, **parameters)
        runs.while_running(driver, lambda: running(runs.executors(driver)) and proxy.accepted)

        proxy.drop_all(away_seconds=30)

        retry_if_failed(runs, driver, parameters)
    assert paths(Lake(spark, lake), IMAGES) == Counter(landed)
    eventually(lambda: not runs.pods("spark-role=executor"))
    assert not get("-n", runs.namespace, "leases")["items"]


def retry_if_failed(runs: TaskRuns, driver: str, parameters: dict[str, Any]) -> None:
    """Wait for a task, and retry it once if it fails, like Kubeflow Pipelines does."""
    with suppress(TaskFailed):
        runs.wait(driver)
        return
    runs.run("training", "ingest-images", **parameters)

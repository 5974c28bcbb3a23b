"""Spark's drivers and executors in pods, when something goes wrong or two want the same."""

from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any
from urllib.parse import urlsplit

from kubernetes import client
from pyspark.sql import SparkSession

from components.lake import Lake
from components.lake.tables import IMAGES
from tests.cluster.dropping_proxy import DroppingProxy
from tests.cluster.kubectl import get
from tests.cluster.namespace import eventually
from tests.cluster.store import ROOT, land, paths
from tests.cluster.task_runs import TaskFailed, TaskRuns
from tests.local.training_set_factory import digits
from tests.services.servers import S3Server

DIGITS = digits(40)
# For two drivers at a time.
ONE_EXECUTOR = {"IMAGE_PIPELINES_SPARK_MINIMUM_EXECUTORS": "1", "IMAGE_PIPELINES_SPARK_MAXIMUM_EXECUTORS": "1"}


def running(pods: list[client.V1Pod]) -> list[client.V1Pod]:
    return [pod for pod in pods if pod.status.phase == "Running"]


def test_executors_go_with_their_driver_and_the_next_try_loses_and_doubles_nothing(
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


def test_two_drivers_that_write_one_table_on_s3_both_have_their_rows_in_it(runs: TaskRuns, spark: SparkSession) -> None:
    lake = f"{ROOT}/shared"
    landed = [land(f"shared-source-{half}", DIGITS[half::2]) for half in range(2)]
    drivers = [
        runs.start("scoring", "ingest-images", settings=ONE_EXECUTOR, source=f"{ROOT}/shared-source-{half}", lake=lake)
        for half in range(2)
    ]

    runs.while_running(drivers[0], lambda: all(running(runs.executors(each)) for each in drivers))
    ended = [runs.wait(driver) for driver in drivers]

    assert [each.outputs["ingested"] for each in ended] == [len(half) for half in landed]
    assert paths(Lake(spark, lake), IMAGES) == Counter([*landed[0], *landed[1]])


def test_a_restarted_api_server_loses_and_doubles_no_row(
    runs: TaskRuns, spark: SparkSession, restart_api_server: Callable[[], None]
) -> None:
    lake, landed = f"{ROOT}/restarted", land("restarted-source/{label:03}.digit", DIGITS)
    parameters: dict[str, Any] = {"source": f"{ROOT}/restarted-source", "lake": lake}
    driver = runs.start("training", "ingest-images", settings=ONE_EXECUTOR, **parameters)
    runs.while_running(driver, lambda: running(runs.executors(driver)))

    restart_api_server()

    run_again_if_it_failed(runs, driver, parameters)
    assert paths(Lake(spark, lake), IMAGES) == Counter(landed)
    eventually(lambda: not runs.pods("spark-role=executor"))
    assert not get("-n", runs.namespace, "leases")["items"]


def test_a_store_that_is_away_for_thirty_seconds_loses_and_doubles_no_row(
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

        run_again_if_it_failed(runs, driver, parameters)
    assert paths(Lake(spark, lake), IMAGES) == Counter(landed)
    eventually(lambda: not runs.pods("spark-role=executor"))
    assert not get("-n", runs.namespace, "leases")["items"]


def run_again_if_it_failed(runs: TaskRuns, driver: str, parameters: dict[str, Any]) -> None:
    """Wait for a task as Kubeflow Pipelines does: a failed one is tried again."""
    with suppress(TaskFailed):
        runs.wait(driver)
        return
    runs.run("training", "ingest-images", **parameters)

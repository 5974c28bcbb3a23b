"""Spark's executors on Kubernetes: their pods and their command."""

import importlib.util
from types import ModuleType
from typing import Any

import pytest

from components.cluster.pod import FIELD_PATHS, LABELS, POD_ENVIRONMENT_PREFIX
from components.settings import Settings
from components.spark import executors
from components.spark.executors import executor_configuration, executor_template
from tests.support.paths import REPOSITORY

LAKE = {
    "name": "IMAGE_PIPELINES_LAKE",
    "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "LAKE", "optional": True}},
}
KEY = {"name": "AWS_SECRET_ACCESS_KEY", "valueFrom": {"secretKeyRef": {"name": "secrets", "key": "KEY"}}}
NAME = {"name": "IMAGE_PIPELINES_POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}


EXPECTED = {
    "dynamicAllocation.enabled": "true",
    "dynamicAllocation.shuffleTracking.enabled": "true",
    "dynamicAllocation.minExecutors": "2",
    "dynamicAllocation.maxExecutors": "8",
    "executor.cores": "3",
    "executor.memory": "2g",
    "kubernetes.executor.request.cores": "3",
    "kubernetes.executor.limit.cores": "3",
    "kubernetes.driver.pod.name": "name",
    "driver.host": "ip",
}


def driver(**specification: Any) -> dict[str, Any]:
    return {
        "metadata": {"labels": {"workflows.argoproj.io/workflow": "training-x"}},
        "spec": {
            "containers": [
                {"name": "wait", "env": [{"name": "ARGO_POD_NAME"}]},
                {"name": "main", "env": [LAKE, KEY, NAME]},
            ],
            **specification,
        },
    }


def entrypoint() -> ModuleType:
    specification = importlib.util.spec_from_file_location("entrypoint", REPOSITORY / "images/spark/entrypoint.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_executor_has_the_tasks_settings_by_reference_and_none_about_the_drivers_pod() -> None:
    (container,) = executor_template(driver())["spec"]["containers"]

    assert container["env"] == [LAKE, KEY]


def test_executor_runs_where_the_driver_does_under_its_account() -> None:
    pool = {
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "spot", "operator": "Exists"}],
        "serviceAccountName": "runner",
        "imagePullSecrets": [{"name": "registry"}],
    }

    specification = executor_template(driver(**pool, nodeName="node-a"))["spec"]

    assert {name: specification[name] for name in pool} == pool
    assert "nodeName" not in specification


def test_executor_has_our_labels_and_none_that_argo_watches() -> None:
    labels = executor_template(driver())["metadata"]["labels"]

    assert labels == {**LABELS, "sidecar.istio.io/inject": "false"}


def test_executor_has_no_privileges_and_no_token() -> None:
    specification = executor_template(driver())["spec"]

    assert specification["automountServiceAccountToken"] is False
    assert specification["securityContext"]["runAsNonRoot"]
    (container,) = specification["containers"]
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def test_executors_scale_with_the_work_and_have_requests_and_limits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in FIELD_PATHS:
        monkeypatch.setenv(POD_ENVIRONMENT_PREFIX + name.upper(), name)
    monkeypatch.setattr(executors, "_read", lambda _: driver())

    configuration = executor_configuration(Settings.load(spark_executor_cores=3, spark_executor_memory="2g"))

    assert {name: configuration[f"spark.{name}"] for name in EXPECTED} == EXPECTED


def test_executor_java_options_keep_the_drivers_order() -> None:
    variables = {f"SPARK_JAVA_OPT_{number}": f"-Doption={number}" for number in (10, 2, 0)}
    names = (
        "SPARK_HOME", "SPARK_EXECUTOR_MEMORY", "SPARK_DRIVER_URL", "SPARK_EXECUTOR_ID", "SPARK_EXECUTOR_CORES",
        "SPARK_APPLICATION_ID", "SPARK_EXECUTOR_POD_IP", "SPARK_RESOURCE_PROFILE_ID", "SPARK_EXECUTOR_POD_NAME",
    )  # fmt: skip

    command = entrypoint().executor_command(variables | {name: name.lower() for name in names})

    assert command[:4] == ["java", "-Doption=0", "-Doption=2", "-Doption=10"]
    assert command[command.index("-cp") + 1] == "spark_home/jars/*"
    assert command[command.index("--driver-url") + 1] == "spark_driver_url"

"""Spark's executors on Kubernetes: pods modeled on the driver's pod, which is the task's.

They run on the same pool, under the same account and with the same settings as the task, whatever the installation or
the pipeline's parameters chose. Secrets stay references.
"""

import json
import tempfile
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from kubernetes import client

from components.cluster.api import api_client, call_with_retries
from components.cluster.pod import LABELS, POD_ENVIRONMENT_PREFIX, Pod
from components.container_images import SPARK
from components.errors import InputError
from components.settings import Settings

# Fixed, so that a NetworkPolicy or a service mesh can name them.
DRIVER_PORT = 7078
BLOCK_MANAGER_PORT = 7079

_CONTAINER = "executor"
_SPECIFICATION = ("nodeSelector", "tolerations", "serviceAccountName", "imagePullSecrets")


def executor_configuration(settings: Settings) -> dict[str, str]:
    """Return Spark's configuration for a driver in this pod and executors in other pods.

    Args:
        settings: Hold the number and the size of the executors.

    Raises:
        InputError: The task's pod is unknown, or the task may not read it.
    """
    pod = Pod.current()
    cores = str(settings.spark_executor_cores)
    return {
        "spark.kubernetes.namespace": pod.namespace,
        # The driver's pod owns the executors' pods: Kubernetes deletes them with it.
        "spark.kubernetes.driver.pod.name": pod.name,
        "spark.driver.host": pod.ip,
        "spark.driver.bindAddress": "0.0.0.0",  # noqa: S104 - of a pod
        "spark.driver.port": str(DRIVER_PORT),
        "spark.driver.blockManager.port": str(BLOCK_MANAGER_PORT),
        "spark.kubernetes.container.image": SPARK,
        "spark.kubernetes.executor.podTemplateFile": _write(executor_template(_read(pod))),
        "spark.kubernetes.executor.podTemplateContainerName": _CONTAINER,
        # It would hold no files, and would need a permission.
        "spark.kubernetes.executor.disableConfigMap": "true",
        # There are no volume claims and no driver service; deleting them would need a permission.
        "spark.kubernetes.driver.ownPersistentVolumeClaim": "false",
        "spark.kubernetes.driver.reusePersistentVolumeClaim": "false",
        "spark.kubernetes.driver.service.deleteOnTermination": "false",
        "spark.executor.cores": cores,
        "spark.kubernetes.executor.request.cores": cores,
        "spark.kubernetes.executor.limit.cores": cores,
        # Request and limit of memory are the sum of both.
        "spark.executor.memory": settings.spark_executor_memory,
        "spark.executor.memoryOverhead": settings.spark_executor_memory_overhead,
        "spark.dynamicAllocation.enabled": "true",
        "spark.dynamicAllocation.shuffleTracking.enabled": "true",
        # The minimum. Spark warns if it is not set.
        "spark.executor.instances": str(settings.spark_minimum_executors),
        "spark.dynamicAllocation.minExecutors": str(settings.spark_minimum_executors),
        "spark.dynamicAllocation.maxExecutors": str(settings.spark_maximum_executors),
    }


def executor_template(driver: Mapping[str, Any]) -> dict[str, Any]:
    """Return the template of an executor's pod.

    Args:
        driver: The driver's pod, as the Kubernetes API returns it.
    """
    specification = driver["spec"]
    (task,) = (container for container in specification["containers"] if _has_pod_variables(container))
    # Fields of the driver's pod describe the driver only.
    variables = [variable for variable in task["env"] if "fieldRef" not in variable.get("valueFrom", {})]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"labels": {**LABELS, "sidecar.istio.io/inject": "false"}},
        "spec": {
            **{name: specification[name] for name in _SPECIFICATION if name in specification},
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 1000,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": _CONTAINER,
                    "env": variables,
                    "envFrom": task.get("envFrom", []),
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }


def _has_pod_variables(container: Mapping[str, Any]) -> bool:
    return any(variable["name"] == f"{POD_ENVIRONMENT_PREFIX}NAME" for variable in container.get("env", []))


def _read(pod: Pod) -> dict[str, Any]:
    api = client.CoreV1Api(api_client())
    try:
        found = call_with_retries(api.read_namespaced_pod, pod.name, pod.namespace)
    except client.ApiException as error:
        if error.status != HTTPStatus.FORBIDDEN:
            raise
        raise InputError(
            f"spark_master: the account of pod '{pod.name}' may not read pods in '{pod.namespace}', so Spark can't"
            " start executors. Bind it to the Role in manifests/, or set spark_master to local[*]."
        ) from error
    return dict(api.api_client.sanitize_for_serialization(found))


def _write(template: Mapping[str, Any]) -> str:
    """Write the template to a file that Spark reads for each new executor, for the life of the driver."""
    path = Path(tempfile.mkdtemp(prefix="executors-"), "template.json")
    path.write_text(json.dumps(template))
    return str(path)

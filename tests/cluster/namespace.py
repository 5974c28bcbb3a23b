"""A namespace of the cluster for one test, and what a task of a run has there."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from kubernetes import client

from components.cluster.pod import POD_ENVIRONMENT_PREFIX

_LABELS = {"pod-security.kubernetes.io/enforce": "restricted"}
_WAIT_SECONDS = 120

Found = TypeVar("Found")


@dataclass(frozen=True)
class Namespace:
    """A namespace.

    Attributes:
        cluster: The cluster's API.
        name: Its name.
    """

    cluster: client.ApiClient
    name: str

    @classmethod
    def create(cls, cluster: client.ApiClient, name: str) -> "Namespace":
        """Make a namespace, with the service account that pods there have."""
        core = client.CoreV1Api(cluster)
        core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=name, labels=_LABELS)))
        made = cls(cluster, name)
        eventually(lambda: core.list_namespaced_service_account(name).items)
        return made

    def delete(self) -> None:
        """Delete it; what is in it goes meanwhile."""
        client.CoreV1Api(self.cluster).delete_namespace(self.name)

    @property
    def core(self) -> client.CoreV1Api:
        """Its pods, events and so on."""
        return client.CoreV1Api(self.cluster)

    def pods(self, selector: str = "") -> list[client.V1Pod]:
        """Return the pods that labels select."""
        return list(self.core.list_namespaced_pod(self.name, label_selector=selector).items)

    def mpijobs(self) -> list[dict[str, Any]]:
        """Return the MPIJobs."""
        custom = client.CustomObjectsApi(self.cluster)
        return list(custom.list_namespaced_custom_object("kubeflow.org", "v2beta1", self.name, "mpijobs")["items"])

    def task_environment(self, run: str) -> dict[str, str]:
        """Return the environment of a task of a run: its pod, that the run controls.

        The pod never starts, because here the task is a process of the test. A ConfigMap stands in for the Argo
        Workflow, which the API server would not know: owners are the same, whatever their kind.

        Args:
            run: Name of the run.
        """
        owner = self.core.create_namespaced_config_map(
            self.name, client.V1ConfigMap(metadata=client.V1ObjectMeta(name=run))
        )
        reference = client.V1OwnerReference(
            api_version="v1", kind="ConfigMap", name=run, uid=owner.metadata.uid, controller=True
        )
        security = client.V1SecurityContext(
            run_as_non_root=True,
            allow_privilege_escalation=False,
            capabilities=client.V1Capabilities(drop=["ALL"]),
            seccomp_profile=client.V1SeccompProfile(type="RuntimeDefault"),
        )
        container = client.V1Container(name="main", image="never-pulled", security_context=security)
        pod = self.core.create_namespaced_pod(
            self.name,
            client.V1Pod(
                metadata=client.V1ObjectMeta(name=f"{run}-task", owner_references=[reference]),
                spec=client.V1PodSpec(
                    containers=[container], scheduling_gates=[client.V1PodSchedulingGate(name="never.example/starts")]
                ),
            ),
        )
        values = {"name": pod.metadata.name, "namespace": self.name, "uid": pod.metadata.uid, "ip": "127.0.0.1"}
        return {POD_ENVIRONMENT_PREFIX + name.upper(): value for name, value in values.items()}


def eventually(look: Callable[[], Found], seconds: float = _WAIT_SECONDS) -> Found:
    """Return what is found, as soon as something is.

    Args:
        look: Returns it, or something empty as long as it is not there.
        seconds: For how long to look.
    """
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.2)
    return found

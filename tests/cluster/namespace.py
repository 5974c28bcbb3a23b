"""A namespace of the cluster for one test, and the environment of a task there."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from kubernetes import client

from components.cluster.pod import POD_ENVIRONMENT_PREFIX

_LABELS = {"pod-security.kubernetes.io/enforce": "restricted"}
_WAIT_SECONDS = 120
# Each poll costs this process, the API server and a kubelet time that pods need.
_POLL_SECONDS = 0.5

Found = TypeVar("Found")


@dataclass(frozen=True)
class Namespace:
    """A namespace.

    Attributes:
        cluster: Client of the cluster's API.
        name: Name of the namespace.
    """

    cluster: client.ApiClient
    name: str

    @classmethod
    def create(cls, cluster: client.ApiClient, name: str) -> "Namespace":
        """Create a namespace, and wait for the default service account."""
        core = client.CoreV1Api(cluster)
        core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=name, labels=_LABELS)))
        made = cls(cluster, name)
        eventually(lambda: core.list_namespaced_service_account(name).items)
        return made

    def delete(self) -> None:
        """Delete the namespace, without waiting for the deletion of its objects."""
        client.CoreV1Api(self.cluster).delete_namespace(self.name)

    @property
    def core(self) -> client.CoreV1Api:
        """Client of the core API: pods, events and so on."""
        return client.CoreV1Api(self.cluster)

    def pods(self, selector: str = "") -> list[client.V1Pod]:
        """Return the pods that match a label selector."""
        return list(self.core.list_namespaced_pod(self.name, label_selector=selector).items)

    def mpijobs(self) -> list[dict[str, Any]]:
        """Return the MPIJobs."""
        custom = client.CustomObjectsApi(self.cluster)
        return list(custom.list_namespaced_custom_object("kubeflow.org", "v2beta1", self.name, "mpijobs")["items"])

    def task_environment(self, run: str) -> dict[str, str]:
        """Create the pod of a task of a run, and return the task's environment variables.

        The pod never starts, because the task is a process of the test. A ConfigMap replaces the Argo Workflow, whose
        kind the test cluster lacks: owner references work the same for any kind.

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


def eventually(find: Callable[[], Found], seconds: float = _WAIT_SECONDS) -> Found:
    """Call a function until it returns a true value, and return that value.

    Args:
        find: Function to call.
        seconds: Timeout in seconds.
    """
    end = time.monotonic() + seconds
    while not (found := find()):
        assert time.monotonic() < end, f"no result within {seconds:g} s"
        time.sleep(_POLL_SECONDS)
    return found

"""A real Argo workflow controller, which runs as a process of this machine for the cluster of KUBECONFIG."""

import json
import os
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from pipelines.catalogue import COMPILED
from tests.support.kubectl import RUNNER, apply, get, kubectl, namespace

# The version of Argo in Kubeflow Pipelines 2.17.
VERSION = "4.0.5"
IMAGE = f"localhost/argoexec:{VERSION}"
CONFIG_MAP = "workflow-controller-configmap"
# The `workflowDefaults` of Kubeflow Pipelines 2.17.
DEFAULTS = {
    "spec": {
        "ttlStrategy": {"secondsAfterCompletion": 3600},
        "templateDefaults": {"retryStrategy": {"limit": "2", "retryPolicy": "OnError"}},
    }
}
_NODE_POOL = {"pool": "cpu"}
_POLL_SECONDS = 0.5

Found = TypeVar("Found")


def compiled_retries(pipeline: str, task: str) -> dict[str, str]:
    """Return a task's compiled retries as the backend of Kubeflow Pipelines passes them to Argo.

    Args:
        pipeline: Name of the compiled pipeline.
        task: Name of a task that runs a container.
    """
    specification = next(yaml.safe_load_all((COMPILED / f"{pipeline}.yaml").read_text()))
    groups = [specification["root"], *specification["components"].values()]
    policy = next(
        each["dag"]["tasks"][task]["retryPolicy"] for each in groups if task in each.get("dag", {}).get("tasks", {})
    )
    return {
        "retry-max-count": str(policy["maxRetryCount"]),
        "retry-backoff-duration": policy["backoffDuration"].removesuffix("s"),
        "retry-backoff-factor": f"{policy['backoffFactor']:g}",
        "retry-backoff-max-duration": policy["backoffMaxDuration"].removesuffix("s"),
    }


@dataclass(frozen=True)
class Ended:
    """The result of a workflow.

    Attributes:
        phase: Succeeded, Failed or Error.
        pods: Phase and message of each pod, in the order of their starts.
    """

    phase: str
    pods: list[tuple[str, str]]


@dataclass(frozen=True)
class Argo:
    """A namespace in which a controller runs workflows.

    Attributes:
        namespace: Name of the namespace.
    """

    namespace: str

    def submit(
        self,
        name: str,
        script: str,
        retries: Mapping[str, str],
        pod: Mapping[str, Any] | None = None,
        container: Mapping[str, Any] | None = None,
    ) -> "Workflow":
        """Start a workflow of one task, with the templates and retries of Kubeflow Pipelines.

        Args:
            name: Name of the workflow.
            script: Shell script of the task. Its variable RETRY is the number of the task's earlier pods.
            retries: See `compiled_retries`.
            pod: Fields to add to the template of the pod.
            container: Fields to add to the container.
        """
        inputs = {"parameters": [{"name": each} for each in retries]}
        passed_on = {"parameters": [{"name": each, "value": f"{{{{inputs.parameters.{each}}}}}"} for each in retries]}
        executor = {"name": "executor", "template": "impl", "arguments": passed_on}
        given = {"parameters": [{"name": key, "value": value} for key, value in retries.items()]}
        templates: list[dict[str, Any]] = [
            {"name": "entrypoint", "dag": {"tasks": [{"name": "task", "template": "task", "arguments": given}]}},
            {"name": "task", "inputs": inputs, "dag": {"tasks": [executor]}},
            {
                "name": "impl",
                "inputs": inputs,
                "nodeSelector": _NODE_POOL,
                "retryStrategy": {
                    "limit": "{{inputs.parameters.retry-max-count}}",
                    "backoff": {
                        "duration": "{{inputs.parameters.retry-backoff-duration}}",
                        "factor": "{{inputs.parameters.retry-backoff-factor}}",
                        "maxDuration": "{{inputs.parameters.retry-backoff-max-duration}}",
                    },
                },
                "container": {
                    "image": IMAGE,
                    "command": ["sh", "-c", script],
                    "env": [{"name": "RETRY", "value": "{{retries}}"}],
                    **(container or {}),
                },
                **(pod or {}),
            },
        ]
        apply(
            {
                "apiVersion": "argoproj.io/v1alpha1",
                "kind": "Workflow",
                "metadata": {"name": name, "namespace": self.namespace},
                "spec": {"entrypoint": "entrypoint", "serviceAccountName": RUNNER, "templates": templates},
            }
        )
        return Workflow(self.namespace, name)


@dataclass(frozen=True)
class Workflow:
    """A workflow of one task.

    Attributes:
        namespace: Namespace of the workflow.
        name: Name of the workflow.
    """

    namespace: str
    name: str

    def first_pod(self, phase: str, seconds: float = 120) -> str:
        """Wait until Argo reports the first pod in a phase, and return the pod's name.

        Args:
            phase: Pending or Running.
            seconds: Timeout.
        """

        def poll() -> str:
            phases = {node["phase"] for node in self._nodes()}
            pods = self._pods()
            return next((pod["metadata"]["name"] for pod in pods if phase in phases), "")

        return _eventually(poll, f"pod of {self.name} {phase}", seconds)

    def ended(self, seconds: float = 300) -> Ended:
        """Wait until the workflow ends, and return its result.

        Args:
            seconds: Timeout.
        """

        def poll() -> dict[str, Any]:
            status: dict[str, Any] = get("workflow", self.name, "--namespace", self.namespace).get("status", {})
            return status if status.get("finishedAt") else {}

        status = _eventually(poll, f"end of {self.name}", seconds)
        pods = sorted(self._nodes(), key=lambda node: str(node["startedAt"]))
        return Ended(status["phase"], [(node["phase"], node.get("message", "")) for node in pods])

    def delete(self, pod: str, *options: str) -> None:
        """Delete a pod.

        Args:
            pod: Name of the pod.
            *options: Options of kubectl.
        """
        kubectl("delete", "pod", pod, "--namespace", self.namespace, "--wait=false", *options)

    def evict(self, pod: str) -> None:
        """Evict a pod, like a drain of its node does."""
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod}/eviction"
        metadata = {"name": pod, "namespace": self.namespace}
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
        kubectl("create", "--raw", path, "--filename", "-", stdin=json.dumps(eviction))

    def _nodes(self) -> list[dict[str, Any]]:
        """Return the workflow's nodes that are pods."""
        status = get("workflow", self.name, "--namespace", self.namespace).get("status", {})
        return [node for node in status.get("nodes", {}).values() if node["type"] == "Pod"]

    def _pods(self) -> list[dict[str, Any]]:
        selector = f"workflows.argoproj.io/workflow={self.name}"
        return list(get("pods", "--namespace", self.namespace, "--selector", selector)["items"])


@contextmanager
def running(programs: Path, defaults: str, log: Path) -> Iterator[Argo]:
    """Run a controller in a new namespace.

    Args:
        programs: Folder of Argo's programs.
        defaults: `workflowDefaults` of the controller's ConfigMap.
        log: File for the controller's output.
    """
    with namespace() as name:
        data = {
            "workflowDefaults": defaults,
            "executor": "imagePullPolicy: Never\n",
            "metricsConfig": "enabled: false\n",
        }
        metadata = {"name": CONFIG_MAP, "namespace": name}
        apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
        command = [
            *(str(programs / "workflow-controller"), "--kubeconfig", os.environ["KUBECONFIG"]),
            *("--namespaced", "--namespace", name, "--managed-namespace", name),
            *("--configmap", CONFIG_MAP, "--executor-image", IMAGE),
        ]
        environment = os.environ | {"LEADER_ELECTION_DISABLE": "true", "ARGO_NAMESPACE": name}
        with log.open("w") as output:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
        try:
            yield Argo(name)
            assert process.poll() is None, log.read_text()
        finally:
            # Without leader election, the controller does not end on SIGTERM.
            process.kill()
            process.wait()


@contextmanager
def custom_resources(programs: Path) -> Iterator[None]:
    """Install Argo's missing custom resource definitions, and delete them afterwards.

    Args:
        programs: Folder of Argo's programs, which contains the definitions.
    """
    definitions = [yaml.safe_load(file.read_text()) for file in (programs / "resources").glob("argoproj.io_*.yaml")]
    existing = {each["metadata"]["name"] for each in get("customresourcedefinitions")["items"]}
    new = [each for each in definitions if each["metadata"]["name"] not in existing]
    if not new:
        yield
        return
    apply(*new)
    names = [f"customresourcedefinition/{each['metadata']['name']}" for each in new]
    try:
        kubectl("wait", "--for=condition=Established", "--timeout=60s", *names)
        yield
    finally:
        kubectl("delete", "--wait=false", *names)


def build(load: str) -> Path:
    """Build Argo's programs once for this user, load their image into the cluster, and return their folder.

    Args:
        load: Command that loads an image archive into the cluster.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "image-pipelines" / f"argo-{VERSION}"
    script = Path(__file__).with_name("argo.sh")
    subprocess.run([str(script), VERSION, str(folder), *shlex.split(load)], check=True)
    return folder


def _eventually(poll: Callable[[], Found], event: str, seconds: float) -> Found:
    end = time.monotonic() + seconds
    while True:
        with suppress(AssertionError):
            if found := poll():
                return found
        assert time.monotonic() < end, f"{event}: did not occur in {seconds} s"
        time.sleep(_POLL_SECONDS)

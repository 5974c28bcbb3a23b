"""One namespace of a real cluster, and tasks of the compiled pipelines that run in it."""

import itertools
import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from tests.cluster.task_pod import MAIN, CompiledTask

T = TypeVar("T")

_POLL_SECONDS = 0.5
_LOG_LINES = 60

# Nodes of the test cluster are small: tasks ask for less than the compiled pipelines do, and keep their limits.
REQUESTS = {"cpu": "250m", "memory": "1Gi"}


class TaskFailed(AssertionError):  # noqa: N818 - reads as what happened
    """A task's pod failed; the message ends with what it printed."""


@dataclass
class Namespace:
    """A namespace that is a test's own.

    Attributes:
        name: Its name.
        account: Service account of the tasks.
        core: The Kubernetes API.
    """

    name: str
    account: str
    core: client.CoreV1Api
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def start(self, pipeline: str, task: str, inputs: Mapping[str, Any] | None = None, **parameters: Any) -> str:
        """Start a task of a compiled pipeline, and return its pod's name.

        Args:
            pipeline: As in `training`.
            task: As in `ingest-images`.
            inputs: What other tasks returned, by this task's input.
            **parameters: Parameters of the pipeline's run.
        """
        name = f"{pipeline}-{task}-{next(self._numbers)}"
        pod = CompiledTask.load(pipeline, task).pod(name, inputs or {}, parameters, self.account, REQUESTS)
        self.core.create_namespaced_pod(self.name, pod)
        return name

    def wait(self, pod: str, timeout_seconds: float = 420) -> dict[str, Any]:
        """Wait until a task's pod has ended, and return the output parameters.

        Raises:
            TaskFailed: It failed.
        """
        ended = self.eventually(lambda: self._ended(pod), timeout_seconds, f"pod '{pod}' ends")
        if ended.phase != "Succeeded":
            raise TaskFailed(f"{pod}: {ended.reason or ended.phase}\n{self.log(pod)}")
        terminated = next(each for each in ended.container_statuses if each.name == MAIN).state.terminated
        values: dict[str, Any] = json.loads(terminated.message or "{}").get("parameterValues", {})
        return values

    def run(self, pipeline: str, task: str, inputs: Mapping[str, Any] | None = None, **parameters: Any) -> Any:
        """Run a task of a compiled pipeline to its end; see `start` and `wait`."""
        return self.wait(self.start(pipeline, task, inputs, **parameters))

    def pods(self, selector: str) -> list[client.V1Pod]:
        """Return the pods that a label selector finds."""
        return list(self.core.list_namespaced_pod(self.name, label_selector=selector).items)

    def executors(self, driver: str) -> list[client.V1Pod]:
        """Return the executors of a driver's pod."""
        return [
            pod
            for pod in self.pods("spark-role=executor")
            if any(owner.name == driver for owner in pod.metadata.owner_references or [])
        ]

    def log(self, pod: str) -> str:
        """Return the end of what a task's pod printed."""
        try:
            return str(self.core.read_namespaced_pod_log(pod, self.name, container=MAIN, tail_lines=_LOG_LINES))
        except ApiException as error:
            return str(error.reason)

    def eventually(self, look: Callable[[], T | None], timeout_seconds: float, what: str) -> T:
        """Return the first answer of `look` that is true.

        Raises:
            TimeoutError: There is none in time.
        """
        end = time.monotonic() + timeout_seconds
        while time.monotonic() < end:
            if found := look():
                return found
            time.sleep(_POLL_SECONDS)
        raise TimeoutError(f"not within {timeout_seconds:.0f} s: {what}")

    def _ended(self, pod: str) -> client.V1PodStatus | None:
        status = self.core.read_namespaced_pod_status(pod, self.name).status
        return status if status.phase in ("Succeeded", "Failed") else None


@contextmanager
def new_namespace(name: str, account: str) -> Iterator[Namespace]:
    """Make a namespace that enforces the `baseline` of pod security, and delete it with all that is in it."""
    config.load_kube_config()
    core = client.CoreV1Api()
    labels = {"pod-security.kubernetes.io/enforce": "baseline", "pod-security.kubernetes.io/warn": "restricted"}
    core.create_namespace({"metadata": {"name": name, "labels": labels}})
    try:
        core.create_namespaced_service_account(name, {"metadata": {"name": account}})
        yield Namespace(name, account, core)
    finally:
        core.delete_namespace(name)


def kubectl(*arguments: str, stdin: str = "") -> str:
    """Run kubectl, and return what it printed."""
    command = ["kubectl", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, input=stdin).stdout

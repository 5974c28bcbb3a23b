"""Tasks of the compiled pipelines, which run as pods of one namespace."""

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from kubernetes import client

from tests.cluster.namespace import eventually
from tests.support.java_options import SHORT_SESSION
from tests.support.task_pod import MAIN, CompiledTask

T = TypeVar("T")

# For drivers that run beside another one, and for those whose executors do not matter: a second one takes as long to
# start as the work takes.
ONE_EXECUTOR = {"IMAGE_PIPELINES_SPARK_MINIMUM_EXECUTORS": "1", "IMAGE_PIPELINES_SPARK_MAXIMUM_EXECUTORS": "1"}
_TASK_SECONDS = 1200
_LOG_LINES = 300

# The test cluster's nodes are small, so tasks request less than in the compiled pipelines. Their limits are the same.
REQUESTS = {"cpu": "500m", "memory": "512Mi"}
# One node has room for the ranks of two tests.
RANK_SIZE = {"rank_cpu": "500m", "rank_memory": "1536Mi"}


class TaskFailed(AssertionError):  # noqa: N818 - reads as what happened
    """A task's pod failed. The message ends with the pod's output."""


@dataclass(frozen=True)
class Ended:
    """A pod of a task that succeeded.

    Attributes:
        pod: Name of the pod.
        node: Name of its node.
        outputs: Output parameters of the task.
    """

    pod: str
    node: str
    outputs: Mapping[str, Any]


@dataclass(frozen=True)
class TaskRuns:
    """Starts tasks in a namespace.

    Attributes:
        namespace: Name of the namespace.
        account: Service account of the tasks.
        core: Client of the core API.
    """

    namespace: str
    account: str
    core: client.CoreV1Api
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def start(
        self,
        pipeline: str,
        task: str,
        before: Mapping[str, Ended] | None = None,
        settings: Mapping[str, str] | None = None,
        **parameters: Any,
    ) -> str:
        """Start a task of a compiled pipeline, and return its pod's name.

        Args:
            pipeline: Name of the pipeline, e.g. `training`.
            task: Name of the task, e.g. `ingest-images`.
            before: Tasks whose outputs the task reads, by name.
            settings: Environment variables that override the installation's settings, for executors too.
            **parameters: Parameters of the pipeline's run.
        """
        name = f"{pipeline}-{task}-{next(self._numbers)}"
        outputs = {key: ended.outputs for key, ended in (before or {}).items()}
        pod = CompiledTask.load(pipeline, task).pod(name, outputs, parameters, self.account, REQUESTS)
        (container,) = pod["spec"]["containers"]
        variables = {"JAVA_TOOL_OPTIONS": SHORT_SESSION, **(settings or {})}
        container["env"] = [each for each in container["env"] if each["name"] not in variables]
        container["env"] += [{"name": key, "value": value} for key, value in variables.items()]
        self.core.create_namespaced_pod(self.namespace, pod)
        return name

    def wait(self, pod: str) -> Ended:
        """Wait until a task's pod ends.

        Raises:
            TaskFailed: The task failed.
        """
        eventually(lambda: self._has_ended(pod), _TASK_SECONDS)
        ended = self.core.read_namespaced_pod(pod, self.namespace)
        if ended.status.phase != "Succeeded":
            raise TaskFailed(f"{pod}: {ended.status.reason or ended.status.phase}\n{self.log(pod)}")
        (container,) = (each for each in ended.status.container_statuses if each.name == MAIN)
        returned = json.loads(container.state.terminated.message or "{}")
        return Ended(pod, ended.spec.node_name, returned.get("parameterValues", {}))

    def run(
        self,
        pipeline: str,
        task: str,
        before: Mapping[str, Ended] | None = None,
        settings: Mapping[str, str] | None = None,
        **parameters: Any,
    ) -> Ended:
        """Run a task of a compiled pipeline to its end; see `start` and `wait`."""
        return self.wait(self.start(pipeline, task, before, settings, **parameters))

    def while_running(self, pod: str, find: Callable[[], T]) -> T:
        """Call a function while a task runs until it returns a true value, and return that value.

        Args:
            pod: Name of the task's pod.
            find: Function to call.

        Raises:
            TaskFailed: The task ended first.
        """

        def find_or_fail() -> T:
            found = find()
            if not found and self._has_ended(pod):
                raise TaskFailed(f"{pod} has ended\n{self.log(pod)}")
            return found

        return eventually(find_or_fail, _TASK_SECONDS)

    def pods(self, selector: str) -> list[client.V1Pod]:
        """Return the pods that match a label selector."""
        return list(self.core.list_namespaced_pod(self.namespace, label_selector=selector).items)

    def executors(self, driver: str) -> list[client.V1Pod]:
        """Return the executors that a driver's pod owns."""
        pods = self.pods("spark-role=executor")
        return [pod for pod in pods if driver in {owner.name for owner in pod.metadata.owner_references or []}]

    def log(self, pod: str) -> str:
        """Return the end of a task's output."""
        return str(self.core.read_namespaced_pod_log(pod, self.namespace, container=MAIN, tail_lines=_LOG_LINES))

    def _has_ended(self, pod: str) -> bool:
        return self.core.read_namespaced_pod(pod, self.namespace).status.phase in ("Succeeded", "Failed")

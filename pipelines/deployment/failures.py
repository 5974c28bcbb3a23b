"""The task that made a run on the server fail, and its error.

Tasks in API v2beta1 lack messages and pods (KFP issue 14007). Argo's workflow, which API v1beta1 still returns, has
both.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.deployment.server import Server
from pipelines.error_lines import error_sentence

_FAILED = ("Failed", "Error")
# A task is a group of Argo nodes: `<task>-driver`, which prepares it, and `<task>.executor(0)`, an attempt in a pod.
_ATTEMPT = re.compile(r"^(?P<group>.*?)(\((?P<attempt>\d+)\))?$")
_EXECUTOR = "executor"
# Argo's prefix of a container's termination log. Our tasks write their errors into this log.
_EXIT_CODE = re.compile(r"^(main: )?Error \(exit code \d+\)(: )?")


@dataclass(frozen=True)
class Failure:
    """A failed task.

    Attributes:
        task: Name of the task, e.g. `ingest-images`.
        sentence: Error of the task; empty if unknown.
    """

    task: str
    sentence: str


def find_failure(server: Server, run_id: str) -> Failure | None:
    """Return the task whose last attempt failed first, or None if the server returns none.

    Args:
        server: The server.
        run_id: Id of the run.
    """
    workflow = server.workflow(run_id)
    nodes = workflow.get("status", {}).get("nodes", {}).values()
    failed = sorted(_failed_attempts(nodes), key=lambda node: node.get("finishedAt") or "")
    if not failed:
        return None
    node = failed[0]
    sentence = _EXIT_CODE.sub("", node.get("message", "")).strip()
    if not sentence or sentence == node.get("message", ""):
        # Argo's own message only describes how the pod ended. The log may contain the cause.
        sentence = _logged_error(server, run_id, _pod_name(workflow, node)) or sentence
    return Failure(_task(node), sentence)


def _failed_attempts(nodes: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the last attempt of each task if that attempt failed."""
    last: dict[str, tuple[int, Mapping[str, Any]]] = {}
    for node in nodes:
        # A driver runs in a pod, or as an HTTP request of Argo's agent.
        if node.get("type") in ("Pod", "HTTP"):
            match = _ATTEMPT.match(node["name"])
            assert match is not None
            attempt = int(match["attempt"] or 0)
            if attempt >= last.get(match["group"], (-1, {}))[0]:
                last[match["group"]] = attempt, node
    return (node for _, node in last.values() if node.get("phase") in _FAILED)


def _task(node: Mapping[str, Any]) -> str:
    """Return the name of the task that a node belongs to."""
    *parents, name = str(node["name"]).split(".")
    return parents[-1] if name.startswith(_EXECUTOR) and parents else name.removesuffix("-driver")


def _pod_name(workflow: Mapping[str, Any], node: Mapping[str, Any]) -> str:
    """Return the name of a node's pod: workflow, template and the hash of the node."""
    return f"{workflow['metadata']['name']}-{node['templateName']}-{str(node['id']).rpartition('-')[2]}"


def _logged_error(server: Server, run_id: str, pod: str) -> str:
    """Return the last error in a pod's log; empty if there is none."""
    sentences = (error_sentence(line) for line in server.log(run_id, pod).splitlines())
    return next(reversed([sentence for sentence in sentences if sentence]), "")

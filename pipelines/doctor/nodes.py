"""Nodes on which tasks and ranks fit."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kubernetes import client
from kubernetes.utils.quantity import parse_quantity

from components.cluster.api import TIMEOUTS_SECONDS, api_client
from components.errors import InputError
from pipelines.doctor.cluster_errors import cluster_errors
from pipelines.doctor.context import Context
from pipelines.doctor.finding import Finding, error, ok, warning
from pipelines.doctor.pools import Pool, pools_of

_KEEP_AWAY = ("NoSchedule", "NoExecute")


def check_nodes(context: Context) -> Iterator[Finding]:
    """Yield a finding for each pool."""
    if not context.uses_cluster:
        yield ok("no node is needed: the settings are those of this machine.")
        return
    api = api_client()
    try:
        with cluster_errors("nodes"):
            listed = client.CoreV1Api(api).list_node(_request_timeout=TIMEOUTS_SECONDS)
    except InputError:
        yield warning(
            "nodes: this account may not list them, so the pools were not compared with them.",
            "Run the doctor on a machine whose KUBECONFIG may list nodes, or with --write, which starts a pod in each"
            " pool.",
        )
        return
    nodes = api.sanitize_for_serialization(listed)["items"]
    for pool in pools_of(context):
        yield finding_of(pool, nodes)


def finding_of(pool: Pool, nodes: Iterable[Mapping[str, Any]]) -> Finding:
    """Return the finding about a pool.

    Args:
        pool: The pool.
        nodes: All nodes, as the Kubernetes API returns them.
    """
    selector = ",".join(f"{key}={value}" for key, value in pool.node_selector.items()) or "any label"
    selected = [node for node in nodes if pool.node_selector.items() <= node["metadata"].get("labels", {}).items()]
    if not selected:
        return warning(
            f"{pool.field}: no node has {selector}.",
            f"Label nodes, e.g. `kubectl label node NODE {selector}`. If the pool scales from zero, do nothing.",
        )
    reasons = [reason for node in selected if (reason := _refusal(node, pool))]
    if len(reasons) == len(selected):
        return error(
            f"{pool.field}: none of {len(selected)} nodes with {selector} takes its pods: {reasons[0]}.",
            "Add larger nodes, tolerate the taint, or request less.",
        )
    return ok(f"{pool.field}: {len(selected) - len(reasons)} of {len(selected)} nodes with {selector} take its pods.")


def _refusal(node: Mapping[str, Any], pool: Pool) -> str:
    """Return why a node never takes a pod of a pool; empty if it may."""
    name = node["metadata"]["name"]
    conditions = {each["type"]: each["status"] for each in node.get("status", {}).get("conditions", [])}
    if conditions.get("Ready", "True") != "True":
        return f"'{name}' is not ready"
    for taint in node.get("spec", {}).get("taints", []):
        if taint["effect"] in _KEEP_AWAY and not any(_tolerates(each, taint) for each in pool.tolerations):
            return f"'{name}' has the taint {taint['key']}={taint.get('value', '')}:{taint['effect']}"
    allocatable = node.get("status", {}).get("allocatable", {})
    for resource, quantity in pool.requests.items():
        available = allocatable.get(resource, "0")
        if parse_quantity(available) < parse_quantity(quantity):
            return f"'{name}' offers {available} of {resource}, but a pod requests {quantity}"
    return ""


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    return toleration.get("operator") == "Exists" or toleration.get("value", "") == taint.get("value", "")

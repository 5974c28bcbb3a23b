"""Container images that the nodes can pull."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import uuid4

from kubernetes import client

from components.cluster.api import TIMEOUTS_SECONDS, api_client
from components.cluster.pod import LABELS, Pod
from components.container_images import ContainerImages
from components.train_classifier.mpijob.watch import waiting_reasons
from pipelines.doctor.cluster_errors import cluster_errors
from pipelines.doctor.context import Context
from pipelines.doctor.finding import Finding, error, guarded, ok, warning
from pipelines.doctor.pools import Pool, pools_of, task_images

# The account of tasks in Kubeflow Pipelines.
_ACCOUNT = "pipeline-runner"
_START_SECONDS = 400
# Less than the time limit of the check, after which nothing would delete its pod.
_ALL_STARTS_SECONDS = 800
_POLL_SECONDS = 2
_PULL = "could not be pulled"
_NO_REASON = "Kubernetes gives no reason"
_ENDED = ("Succeeded", "Failed")
_SELECTOR = ",".join(f"{key}={value}" for key, value in LABELS.items() if key == "app.kubernetes.io/part-of")


def check_images(context: Context) -> Iterator[Finding]:
    """Yield findings about the images.

    With `write`, a pod in each pool pulls its image.
    """
    if not context.uses_cluster:
        yield ok("no image is needed: the settings are those of this machine.")
        return
    core = client.CoreV1Api(api_client())
    yield from names(task_images())
    yield from guarded(partial(_waiting, core, context.namespace), "pods")
    if context.write:
        pools = pools_of(context)
        for pool in pools:
            yield from guarded(partial(_pull, core, context, pool, start_seconds(len(pools))), pool.field)


def start_seconds(pools: int) -> float:
    """Return how long the pod of a pool may take to start, in seconds.

    Args:
        pools: Number of pools, at least 1. Their pods start one after the other.
    """
    return min(_START_SECONDS, _ALL_STARTS_SECONDS / pools)


def names(images: ContainerImages) -> Iterator[Finding]:
    """Yield a finding for each image: a warning if it names no registry.

    Args:
        images: The images.
    """
    for image in dict.fromkeys(images.model_dump().values()):
        registry = image.partition("/")[0]
        if "." in registry or ":" in registry or registry == "localhost":
            yield ok(f"images: {image}")
        else:
            yield warning(
                f"images: '{image}' names no registry, so each node must have the image already.",
                "Push the images and name the registry: see docs/kubernetes.md, Images.",
            )


def _waiting(core: client.CoreV1Api, namespace: str) -> Iterator[Finding]:
    """Yield an error for each pod of the pipelines that waits for its image."""
    with cluster_errors("pods"):
        listed = core.list_namespaced_pod(namespace, label_selector=_SELECTOR, _request_timeout=TIMEOUTS_SECONDS)
    pods = core.api_client.sanitize_for_serialization(listed)["items"]
    reasons = [reason for reason in waiting_reasons(pods) if _PULL in reason]
    for reason in reasons:
        yield error(f"images: pod {reason.rstrip('.')}.", "Push the image, correct its name, or add the pull secret.")
    if not reasons:
        yield ok(f"images: none of {len(pods)} pods of the pipelines waits for its image.")


def _pull(core: client.CoreV1Api, context: Context, pool: Pool, seconds: float) -> Iterator[Finding]:
    """Start a pod in a pool, yield whether it gets its image, and delete it."""
    name = f"image-pipelines-doctor-{uuid4().hex[:8]}"
    owner = Pod.current() if context.is_in_pod else None
    with cluster_errors("pods"), _pod(core, context.namespace, probe_pod(name, pool, _account(core, owner), owner)):
        deadline = time.monotonic() + seconds
        reason = _NO_REASON
        while time.monotonic() < deadline:
            found = core.read_namespaced_pod(name, context.namespace, _request_timeout=TIMEOUTS_SECONDS)
            pod: dict[str, Any] = core.api_client.sanitize_for_serialization(found)
            if finding := of_ended_pod(pool, pod):
                yield finding
                return
            reason = next(iter(waiting_reasons([pod])), reason)
            if _PULL in reason:
                break
            time.sleep(_POLL_SECONDS)
    yield _not_started(pool, reason)


def of_ended_pod(pool: Pool, pod: Mapping[str, Any]) -> Finding | None:
    """Return the finding about an ended pod of a pool; None if it has not ended.

    Args:
        pool: The pool.
        pod: The pod, as the Kubernetes API returns it.
    """
    status = pod["status"]
    if status.get("phase") not in _ENDED:
        return None
    # A pod that its node refuses or evicts fails without an image.
    if any(each.get("imageID") for each in status.get("containerStatuses", [])):
        return ok(f"{pool.field}: a pod with '{pool.image}' ran on node '{pod['spec']['nodeName']}'.")
    return _not_started(pool, status.get("message") or status.get("reason") or _NO_REASON)


def _not_started(pool: Pool, reason: str) -> Finding:
    return error(
        f"{pool.field}: a pod with '{pool.image}' did not start: {reason.rstrip('.')}.",
        "Push the image or add the pull secret; or add nodes with the labels and taints of the pool.",
    )


def probe_pod(name: str, pool: Pool, account: str, owner: Pod | None) -> dict[str, Any]:
    """Return a pod with the image of a pool, which ends at once.

    It requests no GPU.

    Args:
        name: Name of the pod.
        pool: The pool.
        account: Service account, which has the pull secrets.
        owner: The doctor's own pod, with which Kubernetes deletes this one; None on a laptop.
    """
    owners = [{"apiVersion": "v1", "kind": "Pod", "name": owner.name, "uid": owner.uid}] if owner else []
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": dict(LABELS),
            "annotations": {"sidecar.istio.io/inject": "false"},
            "ownerReferences": owners,
        },
        "spec": {
            "serviceAccountName": account,
            "automountServiceAccountToken": False,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            # If this process is killed on a laptop, the pod stays, but ends by then and frees its resources.
            "activeDeadlineSeconds": 2 * _START_SECONDS,
            "nodeSelector": dict(pool.node_selector),
            "tolerations": [dict(each) for each in pool.tolerations],
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 1000,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "probe",
                    "image": pool.image,
                    "command": ["true"],
                    "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }


def _account(core: client.CoreV1Api, own: Pod | None) -> str:
    if own is None:
        return _ACCOUNT
    found = core.read_namespaced_pod(own.name, own.namespace, _request_timeout=TIMEOUTS_SECONDS)
    return str(found.spec.service_account_name)


@contextmanager
def _pod(core: client.CoreV1Api, namespace: str, pod: dict[str, Any]) -> Iterator[None]:
    """Create a pod, and delete it at the end of the block."""
    core.create_namespaced_pod(namespace, pod, _request_timeout=TIMEOUTS_SECONDS)
    try:
        yield
    finally:
        core.delete_namespaced_pod(pod["metadata"]["name"], namespace, _request_timeout=TIMEOUTS_SECONDS)

"""The MPIJob of a training, as a pure function of what is asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from kubernetes.utils.quantity import parse_quantity

from components.cluster.labels import LABELS
from components.errors import InputError
from components.train_classifier.mpijob.options import GPU, JobOptions, Pool, Resources

API_GROUP = "kubeflow.org"
API_VERSION = "v2beta1"
KIND = "MPIJob"
PLURAL = "mpijobs"

TRAINING_LABEL = "image-pipelines/training"
CONTAINER = "rank"

# The trainer image has both: a user without privileges, and an sshd that such a user can run.
USER = 1000
SSH_FOLDER = "/home/mpiuser/.ssh"
SSH_PORT = 2222
_SSHD = ("/usr/sbin/sshd", "-De", "-f", "/etc/ssh/sshd_mpi.conf")

# It runs mpirun, which only passes on what the ranks print.
_LAUNCHER_RESOURCES = {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}}

# Ranks of one pod exchange gradients through shared memory, of which a container has 64 MiB unless it is given more.
_SHARED_MEMORY = 1 / Decimal(4)
_SHARED_MEMORY_WITHOUT_LIMIT = "1Gi"


@dataclass(frozen=True)
class Owner:
    """The object whose end is the job's end.

    Attributes:
        api_version: As in `argoproj.io/v1alpha1`.
        kind: As in `Workflow`.
        name: Its name.
        uid: Its unique id.
    """

    api_version: str
    kind: str
    name: str
    uid: str


@dataclass(frozen=True)
class Identity:
    """What the job's pods have of the task's pod.

    Attributes:
        namespace: Where all of it is.
        owner: What the job belongs to.
        service_account: The account; cloud identities depend on it.
        image_pull_secrets: Kubernetes' `imagePullSecrets`.
    """

    namespace: str
    owner: Owner
    service_account: str
    image_pull_secrets: Sequence[Mapping[str, str]] = field(default_factory=tuple)


def build_job(
    name: str, training: str, image: str, command: Sequence[str], ranks: int, options: JobOptions, identity: Identity
) -> dict[str, Any]:
    """Return the MPIJob.

    Args:
        name: Its name.
        training: What it trains, as a label's value.
        image: Image of all its pods.
        command: What the launcher runs: mpirun with the ranks' command.
        ranks: How many to start.
        options: The ranks' size, pools and environment.
        identity: What the pods have of the task's pod.

    Raises:
        InputError: The workers' slots do not make the ranks.
    """
    workers, rest = divmod(ranks, options.slots_per_worker)
    if rest:
        raise InputError(
            f"slots_per_worker: {options.slots_per_worker} does not divide {ranks} ranks. Give a number that does."
        )
    labels = {**LABELS, "app.kubernetes.io/component": "training", TRAINING_LABEL: training}
    resources = worker_resources(options)
    worker = _container(image, _SSHD, options, resources)
    worker["ports"] = [{"name": "ssh", "containerPort": SSH_PORT}]
    worker["readinessProbe"] = {"tcpSocket": {"port": SSH_PORT}, "periodSeconds": 1}
    worker["volumeMounts"].append({"name": "shared-memory", "mountPath": "/dev/shm"})  # noqa: S108 - shared by design
    shared_memory = {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": _shared_memory(resources)}}
    return {
        "apiVersion": f"{API_GROUP}/{API_VERSION}",
        "kind": KIND,
        "metadata": {
            "name": name,
            "namespace": identity.namespace,
            "labels": labels,
            "ownerReferences": [
                {
                    "apiVersion": identity.owner.api_version,
                    "kind": identity.owner.kind,
                    "name": identity.owner.name,
                    "uid": identity.owner.uid,
                }
            ],
        },
        "spec": {
            "slotsPerWorker": options.slots_per_worker,
            "launcherCreationPolicy": "WaitForWorkersReady",
            "sshAuthMountPath": SSH_FOLDER,
            # A failed launcher is not started again on the same workers: the task's own retry makes a new job.
            "runPolicy": {"cleanPodPolicy": "All", "backoffLimit": 0},
            "mpiReplicaSpecs": {
                "Launcher": _replica(
                    1,
                    labels,
                    options.launcher_pool,
                    _container(image, command, options, _LAUNCHER_RESOURCES),
                    options.volumes,
                    identity,
                ),
                "Worker": _replica(
                    workers, labels, options.rank_pool, worker, [*options.volumes, shared_memory], identity
                ),
            },
        },
    }


def worker_resources(options: JobOptions) -> dict[str, dict[str, str]]:
    """Return the `resources` of a worker's container: those of a rank, as often as it has ranks.

    Args:
        options: The ranks' size.

    Raises:
        InputError: A quantity is none.
    """
    slots = options.slots_per_worker
    own: Resources = options.rank_resources
    requests = {name: _times(quantity, slots, name) for name, quantity in own.requests.items()}
    limits = {name: _times(quantity, slots, name) for name, quantity in own.limits.items()}
    if options.gpus_per_rank:
        limits[GPU] = str(options.gpus_per_rank * slots)
    if limits.get(GPU) == "0":
        del limits[GPU]
    return {"requests": requests, "limits": limits}


def _times(quantity: str, factor: int, name: str) -> str:
    try:
        value = parse_quantity(quantity) * factor
    except ValueError as error:
        raise InputError(f"{name}: '{quantity}' is no quantity. Write it as in 500m, 2 or 6Gi.") from error
    return quantity if factor == 1 else f"{value:f}"


def _shared_memory(resources: Mapping[str, Mapping[str, str]]) -> str:
    memory = resources["limits"].get("memory")
    return f"{parse_quantity(memory) * _SHARED_MEMORY:.0f}" if memory else _SHARED_MEMORY_WITHOUT_LIMIT


def _container(image: str, command: Sequence[str], options: JobOptions, resources: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": CONTAINER,
        "image": image,
        # Not `command`, which would replace the image's init.
        "args": list(command),
        "env": options.environment,
        "resources": resources,
        "volumeMounts": list(options.volume_mounts),
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }


def _replica(
    replicas: int,
    labels: Mapping[str, str],
    pool: Pool,
    container: Mapping[str, Any],
    volumes: Sequence[Mapping[str, Any]],
    identity: Identity,
) -> dict[str, Any]:
    return {
        "replicas": replicas,
        "restartPolicy": "Never",
        "template": {
            # A mesh's proxy would neither let ssh through nor end with the launcher.
            "metadata": {"labels": dict(labels), "annotations": {"sidecar.istio.io/inject": "false"}},
            "spec": {
                "serviceAccountName": identity.service_account,
                # Ranks ask nothing of the Kubernetes API.
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "imagePullSecrets": [dict(secret) for secret in identity.image_pull_secrets],
                "nodeSelector": pool.node_selector,
                "tolerations": [each.model_dump(by_alias=True, exclude_defaults=True) for each in pool.tolerations],
                "affinity": pool.affinity,
                "terminationGracePeriodSeconds": 5,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": USER,
                    "runAsGroup": USER,
                    "fsGroup": USER,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [container],
                "volumes": list(volumes),
            },
        },
    }

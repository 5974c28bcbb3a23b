"""The MPIJob of a training, built by a pure function."""

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.cluster.pod import LABELS
from components.errors import InputError
from components.parameters.quantity import cores, memory_bytes
from components.train_classifier.environment import RANK_GPUS, THREADS
from components.train_classifier.mpijob.options import GPU, JobOptions, Pool

API_GROUP = "kubeflow.org"
API_VERSION = "v2beta1"
KIND = "MPIJob"
PLURAL = "mpijobs"

TRAINING_LABEL = "image-pipelines/training"
CONTAINER = "rank"

# The trainer image has this unprivileged user, and an sshd that it can run.
USER = 1000
SSH_FOLDER = "/home/mpiuser/.ssh"
SSH_PORT = 2222
_SSHD = ("/usr/sbin/sshd", "-De", "-f", "/etc/ssh/sshd_mpi.conf")

# The launcher runs mpirun, which only relays the output of the ranks.
_LAUNCHER_RESOURCES = {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}}

# Shared memory of a worker, as a fraction of its memory. Ranks of one pod exchange gradients through shared memory, of
# which containers have only 64 MiB by default.
_SHARED_MEMORY_FRACTION = 1 / 4

# Disk that the scheduler reserves for each rank: the features of 250,000 images by Xception, of 8 KiB each. There is no
# limit, so a rank with more images can use what its node has.
_RANK_DISK_GIB = 2

# Kubernetes limits the length of label values, and the names of an MPIJob's pods are such values.
_LONGEST_LABEL = 63
_DIGEST_DIGITS = 8
_LAUNCHER_SUFFIX = "-launcher"


@dataclass(frozen=True)
class Owner:
    """The owner of the MPIJob. Kubernetes deletes the job with its owner.

    Attributes:
        api_version: API version, e.g. `argoproj.io/v1alpha1`.
        kind: Kind, e.g. `Workflow`.
        name: Name.
        uid: Unique id.
    """

    api_version: str
    kind: str
    name: str
    uid: str


@dataclass(frozen=True)
class Identity:
    """The identity that the MPIJob's pods share with the task's pod.

    Attributes:
        namespace: Name of the namespace.
        owner: Owner of the MPIJob.
        service_account: Name of the service account, which cloud identities depend on.
        image_pull_secrets: Kubernetes' `imagePullSecrets`.
    """

    namespace: str
    owner: Owner
    service_account: str
    image_pull_secrets: Sequence[Mapping[str, str]] = field(default_factory=tuple)


def job_name(run: str, task: str, training: str, workers: int) -> str:
    """Return the name of an MPIJob.

    The name begins with the run and the task, shortened if necessary, and ends with a hash of run, task and training.
    So a retry finds the job of an earlier attempt by its name.

    Args:
        run: Name of the Argo Workflow, or of the pod without one.
        task: Name of the task.
        training: Id that distinguishes trainings of the same task.
        workers: Number of workers. The operator appends a worker's number to the job's name to make its host name.

    Returns:
        A name with which the launcher and the workers have names of at most 63 characters.
    """
    longest_suffix = max(len(_LAUNCHER_SUFFIX), len(f"-worker-{workers - 1}"))
    digest = hashlib.sha256("\0".join((run, task, training)).encode()).hexdigest()[:_DIGEST_DIGITS]
    room = _LONGEST_LABEL - longest_suffix - len(digest) - 1
    readable = re.sub(r"[^a-z0-9]+", "-", f"{run}-{task}".lower()).lstrip("-0123456789")[:room].rstrip("-")
    return f"{readable or 'job'}-{digest}"


def build_job(
    name: str, training: str, image: str, command: Sequence[str], ranks: int, options: JobOptions, identity: Identity
) -> dict[str, Any]:
    """Return an MPIJob.

    Args:
        name: Name of the MPIJob.
        training: Value of the training's label.
        image: Image of all pods.
        command: Command of the launcher, which starts the ranks with mpirun.
        ranks: Number of ranks.
        options: Size, pools and environment of the pods.
        identity: Identity that the pods share with the task's pod.

    Raises:
        InputError: The number of ranks is not a multiple of the slots per worker.
    """
    slots = options.placement.slots_per_worker
    workers, remainder = divmod(ranks, slots)
    if remainder:
        raise InputError(f"slots_per_worker: {slots} does not divide {ranks} ranks. Give a number that does.")
    labels = {**LABELS, "app.kubernetes.io/component": "training", TRAINING_LABEL: training}
    memory = memory_bytes(options.placement.rank_memory) * slots
    resources = worker_resources(options)
    worker = _container(image, _SSHD, options, resources)
    worker["ports"] = [{"name": "ssh", "containerPort": SSH_PORT}]
    worker["readinessProbe"] = {"tcpSocket": {"port": SSH_PORT}, "periodSeconds": 1}
    worker["volumeMounts"].append({"name": "shared-memory", "mountPath": "/dev/shm"})  # noqa: S108 - shared by design
    # Ranks keep the features of their images in the folder for temporary files.
    worker["volumeMounts"].append({"name": "scratch", "mountPath": "/tmp"})  # noqa: S108 - of this pod only
    scratch: dict[str, Any] = {"name": "scratch", "emptyDir": {}}
    shared_memory = {
        "name": "shared-memory",
        "emptyDir": {"medium": "Memory", "sizeLimit": f"{memory * _SHARED_MEMORY_FRACTION:.0f}"},
    }
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
            "slotsPerWorker": slots,
            "launcherCreationPolicy": "WaitForWorkersReady",
            "sshAuthMountPath": SSH_FOLDER,
            # `Running` keeps pods that failed, which hold no GPUs, so that the task can read why Kubernetes ended them.
            # `backoffLimit` is 0 because the task's own retry creates a new job.
            "runPolicy": {"cleanPodPolicy": "Running", "backoffLimit": 0},
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
                    workers, labels, options.rank_pool, worker, [*options.volumes, shared_memory, scratch], identity
                ),
            },
        },
    }


def worker_resources(options: JobOptions) -> dict[str, dict[str, str]]:
    """Return the `resources` of a worker's container.

    They are the resources of a rank times the number of ranks of a worker.

    Args:
        options: Size of a rank, and ranks of a worker.
    """
    slots = options.placement.slots_per_worker
    # With one rank, the quantities keep the user's notation.
    cpu, memory = options.placement.rank_cpu, options.placement.rank_memory
    if slots > 1:
        cpu = f"{cores(cpu) * slots * 1000:.0f}m"
        memory = str(memory_bytes(memory) * slots)
    limits = {"memory": memory}
    if options.rank_gpus:
        limits[GPU] = str(options.rank_gpus * slots)
    disk = f"{_RANK_DISK_GIB * slots}Gi"
    return {"requests": {"cpu": cpu, "memory": memory, "ephemeral-storage": disk}, "limits": limits}


def _container(image: str, command: Sequence[str], options: JobOptions, resources: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": CONTAINER,
        "image": image,
        # `command` would replace the image's entrypoint, tini.
        "args": list(command),
        "env": [*options.environment, *_rank_environment(options)],
        "resources": resources,
        "volumeMounts": list(options.volume_mounts),
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }


def _rank_environment(options: JobOptions) -> list[dict[str, str]]:
    threads = math.ceil(cores(options.placement.rank_cpu))
    return [{"name": THREADS, "value": str(threads)}, {"name": RANK_GPUS, "value": str(options.rank_gpus)}]


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
            # Istio's sidecar would block ssh, and would run on after the launcher ends.
            "metadata": {"labels": dict(labels), "annotations": {"sidecar.istio.io/inject": "false"}},
            "spec": {
                "serviceAccountName": identity.service_account,
                # Ranks do not use the Kubernetes API.
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "imagePullSecrets": [dict(secret) for secret in identity.image_pull_secrets],
                "nodeSelector": pool.node_selector,
                "tolerations": [toleration.model_dump() for toleration in pool.tolerations],
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

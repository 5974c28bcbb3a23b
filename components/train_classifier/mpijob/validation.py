"""The MPI operator's rules for an MPIJob, asked before it is sent.

The operator (0.8.0, `pkg/apis/kubeflow/validation`) only writes an event about a job that breaks one, and leaves it
lying. Its rules for fields that `manifest` never sets are left out.
"""

import re
from collections.abc import Iterator
from typing import Any

from components.errors import InputError

_DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_CLEAN_POD_POLICIES = ("None", "Running", "All")
_MPI_IMPLEMENTATIONS = ("OpenMPI", "Intel", "MPICH")
_RESTART_POLICIES = ("Never", "OnFailure")


def validate(job: dict[str, Any]) -> None:
    """Raise an error if the operator would refuse a job.

    Args:
        job: The MPIJob, as it is to be sent; what it does not have gets the operator's defaults.

    Raises:
        InputError: It would; all the reasons are told.
    """
    reasons = list(_broken_rules(job))
    if reasons:
        raise InputError(f"mpijob: {'; '.join(reasons)}. Correct what the job is made from.")


def _broken_rules(job: dict[str, Any]) -> Iterator[str]:
    spec = job["spec"]
    replicas = spec.get("mpiReplicaSpecs")
    yield from _broken_name(job["metadata"]["name"], replicas or {})
    if replicas is None:
        yield "spec.mpiReplicaSpecs is required"
    else:
        yield from _broken_replicas(replicas)
    if spec.get("slotsPerWorker", 1) < 0:
        yield "spec.slotsPerWorker is negative"
    yield from _broken_run_policy(spec.get("runPolicy", {}))
    implementation = spec.get("mpiImplementation", "OpenMPI")
    if implementation not in _MPI_IMPLEMENTATIONS:
        yield f"spec.mpiImplementation '{implementation}' is none of {', '.join(_MPI_IMPLEMENTATIONS)}"


def _broken_name(name: str, replicas: dict[str, Any]) -> Iterator[str]:
    workers = max(1, replicas.get("Worker", {}).get("replicas", 0))
    host = f"{name}-worker-{workers - 1}"
    if not _DNS_LABEL.fullmatch(host):
        yield (
            f"metadata.name '{name}' makes a host '{host}', which is not lower case letters, digits and hyphens from a"
            " letter on, 63 at most"
        )


def _broken_run_policy(policy: dict[str, Any]) -> Iterator[str]:
    clean = policy.get("cleanPodPolicy", "None")
    if clean not in _CLEAN_POD_POLICIES:
        yield f"spec.runPolicy.cleanPodPolicy '{clean}' is none of {', '.join(_CLEAN_POD_POLICIES)}"
    for name in ("ttlSecondsAfterFinished", "activeDeadlineSeconds", "backoffLimit"):
        if policy.get(name, 0) < 0:
            yield f"spec.runPolicy.{name} is negative"


def _broken_replicas(replicas: dict[str, Any]) -> Iterator[str]:
    if "Launcher" not in replicas:
        yield "spec.mpiReplicaSpecs[Launcher] is required"
    elif replicas["Launcher"].get("replicas", 1) != 1:
        yield "spec.mpiReplicaSpecs[Launcher].replicas is not 1"
    if "Worker" in replicas and replicas["Worker"].get("replicas", 0) <= 0:
        yield "spec.mpiReplicaSpecs[Worker].replicas is less than 1"
    for role, replica in replicas.items():
        default = "OnFailure" if role == "Launcher" else "Never"
        policy = replica.get("restartPolicy", default)
        if policy not in _RESTART_POLICIES:
            yield f"spec.mpiReplicaSpecs[{role}].restartPolicy '{policy}' is none of {', '.join(_RESTART_POLICIES)}"
        if not replica["template"]["spec"].get("containers"):
            yield f"spec.mpiReplicaSpecs[{role}].template.spec.containers is required"

"""The MPI operator's validation rules, applied before an MPIJob is created.

If a job breaks a rule, the operator (0.8.0, `pkg/apis/kubeflow/validation`) never starts the job, and only writes an
event. Rules for fields that `manifest` never sets are left out.
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
    """Raise an error if the operator would reject an MPIJob.

    Args:
        job: The MPIJob. Missing fields get the operator's defaults.

    Raises:
        InputError: The job breaks rules. The message lists all of them.
    """
    reasons = list(_broken_rules(job))
    if reasons:
        raise InputError(f"mpijob: {'; '.join(reasons)}. Correct the parameters that set these fields.")


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
        yield f"spec.mpiImplementation '{implementation}' is unknown, use {' or '.join(_MPI_IMPLEMENTATIONS)}"


def _broken_name(name: str, replicas: dict[str, Any]) -> Iterator[str]:
    workers = max(1, replicas.get("Worker", {}).get("replicas", 0))
    host = f"{name}-worker-{workers - 1}"
    if not _DNS_LABEL.fullmatch(host):
        yield (
            f"metadata.name '{name}' gives the invalid host name '{host}': host names have at most 63 lower-case"
            " letters, digits and hyphens, and begin with a letter"
        )


def _broken_run_policy(policy: dict[str, Any]) -> Iterator[str]:
    clean = policy.get("cleanPodPolicy", "None")
    if clean not in _CLEAN_POD_POLICIES:
        yield f"spec.runPolicy.cleanPodPolicy '{clean}' is unknown, use {' or '.join(_CLEAN_POD_POLICIES)}"
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
            allowed = " or ".join(_RESTART_POLICIES)
            yield f"spec.mpiReplicaSpecs[{role}].restartPolicy '{policy}' is unknown, use {allowed}"
        if not replica["template"]["spec"].get("containers"):
            yield f"spec.mpiReplicaSpecs[{role}].template.spec.containers is required"

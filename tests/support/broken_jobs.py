"""A violation of each of the MPI operator's rules for an MPIJob, with the expected reason."""

import copy
from typing import Any

# Name, path of the changed field, its value (None removes the field), and an excerpt of the reason.
BROKEN: list[tuple[str, list[str], Any, str]] = [
    ("upper case", ["metadata", "name"], "Job", "host name 'Job-worker-1'"),
    ("a digit first", ["metadata", "name"], "1job", "host name '1job-worker-1'"),
    ("a dot", ["metadata", "name"], "a.job", "host name 'a.job-worker-1'"),
    ("too long", ["metadata", "name"], "j" * 55, "at most 63 lower-case letters"),
    ("slots", ["spec", "slotsPerWorker"], -1, "spec.slotsPerWorker is negative"),
    ("policy", ["spec", "runPolicy", "cleanPodPolicy"], "Never", "cleanPodPolicy 'Never' is unknown"),
    ("ttl", ["spec", "runPolicy", "ttlSecondsAfterFinished"], -1, "ttlSecondsAfterFinished is negative"),
    ("time", ["spec", "runPolicy", "activeDeadlineSeconds"], -1, "activeDeadlineSeconds is negative"),
    ("tries", ["spec", "runPolicy", "backoffLimit"], -1, "backoffLimit is negative"),
    ("no launcher", ["spec", "mpiReplicaSpecs", "Launcher"], None, "[Launcher] is required"),
    ("launchers", ["spec", "mpiReplicaSpecs", "Launcher", "replicas"], 2, "[Launcher].replicas is not 1"),
    ("no worker", ["spec", "mpiReplicaSpecs", "Worker", "replicas"], 0, "[Worker].replicas is less than 1"),
    ("restart", ["spec", "mpiReplicaSpecs", "Worker", "restartPolicy"], "Always", "restartPolicy 'Always' is unknown"),
    ("empty", ["spec", "mpiReplicaSpecs", "Worker", "template", "spec", "containers"], [], "containers is required"),
    ("no roles", ["spec", "mpiReplicaSpecs"], None, "spec.mpiReplicaSpecs is required"),
]


def broken(job: dict[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    """Return a copy of an MPIJob with another value of a field, or without the field if the value is None."""
    *parents, last = path
    changed = copy.deepcopy(job)
    target: Any = changed
    for parent in parents:
        target = target[parent]
    if value is None:
        del target[last]
    else:
        target[last] = value
    return changed

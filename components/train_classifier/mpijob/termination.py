"""Why Kubernetes ended a pod of an MPIJob, in one sentence.

The launcher's log shows only that a connection to a worker was closed. The cause is in the pods' statuses.
"""

from collections.abc import Iterator, Mapping, Sequence

from components.errors import InputError
from components.parameters.quantity import memory_bytes
from components.train_classifier.launcher import RankKilled
from components.train_classifier.mpijob.cluster import Object

_OUT_OF_MEMORY = "OOMKilled"
# Reasons of the condition DisruptionTarget (Kubernetes' pod API).
_DISRUPTIONS: Mapping[str, str] = {
    "PreemptionByScheduler": "was preempted by a pod of a higher priority",
    "DeletionByTaintManager": "was deleted because its node got a taint, e.g. because the node is lost",
    "EvictionByEvictionAPI": "was evicted, e.g. because its node is drained",
    "DeletionByPodGC": "was deleted because its node no longer exists",
    "TerminationByKubelet": "was ended by its node",
}
_STATUS_REASONS: Mapping[str, str] = {
    "Evicted": "was evicted by its node",
    "NodeLost": "is lost, because its node does not respond",
    "NodeShutdown": "was ended because its node shuts down",
    "Terminated": "was ended because its node shuts down",
    "Preempting": "was preempted by a pod of a higher priority",
}
# Exit codes of SIGKILL and SIGTERM, with what sends these signals outside of Kubernetes.
_SIGNALS: Mapping[int, str] = {
    137: "was ended by SIGKILL (exit code 137), e.g. because its node ran out of memory",
    143: "was ended by SIGTERM (exit code 143), e.g. because its node shuts down",
}
_RESUMES = "The next start of the training resumes from the last checkpoint."
_GIB, _MIB = 2**30, 2**20


class Terminations:
    """Pods of an MPIJob that were ended from outside, collected while the job runs.

    The operator deletes workers as soon as the launcher has ended, so one look at the end would come too late.

    Attributes:
        cause: The first pod that Kubernetes ended, as an error; None without one.
    """

    def __init__(self) -> None:
        self.cause: InputError | RankKilled | None = None
        self._deletion: RankKilled | None = None
        # Ids of the workers by name. The operator replaces a deleted worker by another one of that name.
        self._ids: dict[str, str] = {}

    @property
    def error(self) -> InputError | RankKilled | None:
        """The cause, or else the first worker that was deleted while the launcher ran."""
        return self.cause or self._deletion

    def observe(self, job: Object, workers: Sequence[Object], launchers: Sequence[Object]) -> None:
        """Store what the statuses of the pods say.

        Args:
            job: The MPIJob.
            workers: Its workers.
            launchers: Its launchers, read after the workers: a worker that is deleted while the launcher runs is not
                deleted by the operator.
        """
        for pod in [*workers, *launchers]:
            self.cause = self.cause or find_cause(job, pod)
        if self._deletion or not any(map(_is_running, launchers)):
            return
        found = {pod["metadata"]["name"]: pod for pod in workers}
        for name in sorted(self._ids.keys() | found.keys()):
            metadata = found[name]["metadata"] if name in found else {}
            if self._ids.setdefault(name, metadata.get("uid", "")) != metadata.get("uid"):
                reason = "no longer exists: it was deleted, or its node was lost"
            elif metadata.get("deletionTimestamp"):
                reason = "was deleted"
            else:
                continue
            self._deletion = RankKilled(f"the pod '{name}' of {_ranks(job, name)} {reason}. {_RESUMES}", transient=True)
            return


def find_cause(job: Object, pod: Object) -> InputError | RankKilled | None:
    """Return why Kubernetes ended a pod, or None if it runs, or ended for reasons of its own.

    Args:
        job: The MPIJob.
        pod: A worker or a launcher of the job.
    """
    name, status = pod["metadata"]["name"], pod["status"]
    subject = f"the pod '{name}' of {_ranks(job, name)}"
    terminated = list(_terminated(pod))
    if any(state.get("reason") == _OUT_OF_MEMORY for state in terminated):
        return _out_of_memory(job, name)
    node = f" Its node: '{pod['spec']['nodeName']}'." if pod["spec"].get("nodeName") else ""
    if reason := status.get("reason"):
        known = _STATUS_REASONS.get(reason, f"failed ({reason})")
        return RankKilled(f"{subject} {known}{_detail(status)}.{node} {_RESUMES}", transient=True)
    for condition in status.get("conditions", []):
        if condition["type"] == "DisruptionTarget" and condition["status"] == "True":
            known = _DISRUPTIONS.get(condition.get("reason", ""), "was disrupted")
            return RankKilled(f"{subject} {known}{_detail(condition)}.{node} {_RESUMES}", transient=True)
    # The exit code of a launcher is that of a rank. The operator ends the workers of a finished job by SIGTERM.
    if _is_launcher(job, name) or pod["metadata"].get("deletionTimestamp"):
        return None
    for state in terminated:
        if known := _SIGNALS.get(state["exitCode"], ""):
            return RankKilled(f"{subject} {known}.{node} {_RESUMES}", transient=True)
        reason = f"{state['reason']}, " if state.get("reason") else ""
        return RankKilled(f"{subject} ended by itself ({reason}exit code {state['exitCode']}){_detail(state)}.{node}")
    return None


def killed_rank(job: Object, rank: int | None) -> InputError:
    """Return the error of a rank that SIGKILL ended while its pod runs on.

    With version 1 of cgroups, the kernel kills one process of a container that exceeds its memory limit, and Kubernetes
    does not report it.

    Args:
        job: The MPIJob.
        rank: Number of the rank; None if it is unknown.
    """
    subject = "a rank" if rank is None else f"rank {rank}"
    return InputError(
        f"rank_memory: {subject} was killed (SIGKILL), most likely because its pod exceeded its memory limit of"
        f" {_worker_limit(job)}. {_raise_memory()}"
    )


def _out_of_memory(job: Object, pod: str) -> InputError | RankKilled:
    if _is_launcher(job, pod):
        limit = _memory(job["spec"]["mpiReplicaSpecs"]["Launcher"])
        return RankKilled(f"the launcher's pod '{pod}' exceeded its memory limit of {limit} (OOMKilled). {_RESUMES}")
    return InputError(
        f"rank_memory: the pod '{pod}' of {_ranks(job, pod)} exceeded its memory limit of {_worker_limit(job)}"
        f" (OOMKilled). {_raise_memory()}"
    )


def _raise_memory() -> str:
    return "Raise rank_memory of the parameter placement, or lower batch_size."


def _worker_limit(job: Object) -> str:
    slots = job["spec"]["slotsPerWorker"]
    return f"{_memory(job['spec']['mpiReplicaSpecs']['Worker'])}{f' for {slots} ranks' if slots > 1 else ''}"


def _memory(replica: Object) -> str:
    """Return the memory limit of a replica's pods, e.g. `6 GiB`."""
    limit = memory_bytes(replica["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"])
    return f"{limit / _GIB:.4g} GiB" if limit >= _GIB else f"{limit / _MIB:.4g} MiB"


def _is_launcher(job: Object, pod: str) -> bool:
    return not pod.startswith(f"{job['metadata']['name']}-worker-")


def _ranks(job: Object, pod: str) -> str:
    """Return the ranks of a pod in words. Worker 0 has the first ranks, worker 1 the next ones, and so on."""
    if _is_launcher(job, pod):
        return "the launcher"
    slots = job["spec"]["slotsPerWorker"]
    first = int(pod.rpartition("-")[2]) * slots
    return f"rank {first}" if slots == 1 else f"ranks {first} to {first + slots - 1}"


def _is_running(pod: Object) -> bool:
    return not pod["metadata"].get("deletionTimestamp") and pod["status"].get("phase") == "Running"


def _terminated(pod: Object) -> Iterator[Object]:
    """Yield the last ends of a pod's containers, which Kubernetes may have started again."""
    for status in pod["status"].get("containerStatuses", []):
        for state in (status.get("state", {}), status.get("lastState", {})):
            if "terminated" in state:
                yield state["terminated"]


def _detail(item: Object) -> str:
    """Return the message of a status after a colon."""
    message = str(item.get("message", "")).strip().rstrip(".")
    return f": {message}" if message else ""

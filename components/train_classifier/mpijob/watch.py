"""Follow a job to its end: its log line by line, each phase within its deadline, and a sentence when it is not."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from components.errors import InputError
from components.settings import Settings
from components.train_classifier.mpijob.cluster import Object, TrainingJobs
from components.train_classifier.mpijob.options import GPU
from components.train_classifier.mpijob.relay import LogRelay
from components.train_classifier.said import Said

POLL_SECONDS = 1.0


class Phase(IntEnum):
    """What a job waits for."""

    CREATED = 0
    SCHEDULED = 1
    RUNNING = 2
    FINISHED = 3


@dataclass(frozen=True)
class Deadlines:
    """How long a job may wait for each, in seconds.

    Attributes:
        created: For the operator to take it up.
        scheduled: For a place for each worker.
        running: For the launcher to run, which waits for the workers' images and their sshd.
        finished: For its end.
    """

    created: float
    scheduled: float
    running: float
    finished: float

    @classmethod
    def of(cls, settings: Settings) -> "Deadlines":
        """Return those of the settings."""
        return cls(
            settings.job_created_timeout_seconds,
            settings.job_scheduled_timeout_seconds,
            settings.job_running_timeout_seconds,
            settings.job_finished_timeout_seconds,
        )

    def for_phase(self, phase: Phase) -> float:
        """Return the deadline of a phase."""
        return (self.created, self.scheduled, self.running, self.finished)[phase]


def follow(jobs: TrainingJobs, name: str, deadlines: Deadlines) -> None:
    """Follow a job until it has succeeded, and print what its ranks say.

    Args:
        jobs: The jobs of its namespace.
        name: The job.
        deadlines: How long it may wait.

    Raises:
        InputError: The operator, a pool or an image is missing; the sentence says which.
        RuntimeError: A rank failed, or the job was deleted.
        TimeoutError: It did not finish in time.
    """
    said = Said()
    relays: dict[str, LogRelay] = {}
    phase, since = Phase.CREATED, time.monotonic()
    while True:
        job = jobs.get(name)
        if job is None:
            raise RuntimeError(f"the job '{name}' was deleted while its training went on. Run this step again.")
        launchers = jobs.pods(name, "launcher")
        for pod in launchers:
            for line in _relay(relays, jobs, pod["metadata"]["name"]).new_lines():
                said.add(line)
        if (failure := condition(job, "Failed")) is not None:
            raise RuntimeError(_failure(said, launchers, failure))
        if condition(job, "Succeeded") is not None:
            return
        workers = jobs.pods(name, "worker")
        reached = max(phase, _phase(job, workers, launchers))
        if reached > phase:
            phase, since = reached, time.monotonic()
        if time.monotonic() - since > deadlines.for_phase(phase):
            raise _overdue(phase, deadlines.for_phase(phase), job, [*workers, *launchers], jobs.warnings(name))
        time.sleep(POLL_SECONDS)


def condition(job: Object, kind: str) -> Object | None:
    """Return a job's condition of a kind, if it holds."""
    conditions: list[Object] = job.get("status", {}).get("conditions", [])
    return next((each for each in conditions if each["type"] == kind and each["status"] == "True"), None)


def _relay(relays: dict[str, LogRelay], jobs: TrainingJobs, pod: str) -> LogRelay:
    if pod not in relays:
        relays[pod] = LogRelay(lambda since: jobs.log(pod, since))
    return relays[pod]


def _phase(job: Object, workers: Sequence[Object], launchers: Sequence[Object]) -> Phase:
    """Return what a job waits for now."""
    if condition(job, "Created") is None:
        return Phase.CREATED
    wanted = job["spec"]["mpiReplicaSpecs"]["Worker"]["replicas"]
    if sum("nodeName" in pod["spec"] for pod in workers) < wanted:
        return Phase.SCHEDULED
    if not any(pod["status"].get("phase") not in (None, "Pending") for pod in launchers):
        return Phase.RUNNING
    return Phase.FINISHED


def _failure(said: Said, launchers: Sequence[Object], failure: Object) -> str:
    """Return why a job failed: what its ranks said, or what the operator says where there was no launcher."""
    # One that is being deleted was ended from outside: what it ended with says nothing.
    kept = [pod for pod in launchers if not pod["metadata"].get("deletionTimestamp")]
    ended = [
        status["state"]["terminated"]["exitCode"]
        for pod in kept
        for status in pod["status"].get("containerStatuses", [])
        if "terminated" in status["state"]
    ]
    if ended:
        return said.failure(ended[-1])
    gone = "" if kept else " Its launcher pod is gone: it was deleted, or its node was lost."
    return f"the job failed: {failure.get('message') or failure['reason']}.{gone}"


def _overdue(phase: Phase, seconds: float, job: Object, pods: Sequence[Object], warnings: Sequence[str]) -> Exception:
    name = job["metadata"]["name"]
    told = f" It says: {warnings[-1].rstrip('.')}." if warnings else ""
    match phase:
        case Phase.CREATED if warnings:
            return InputError(
                f"launcher: the MPI operator could not start job '{name}' within {seconds:g} s.{told} Ask for less, or"
                " have that allowed."
            )
        case Phase.CREATED:
            return InputError(
                f"launcher: the MPI operator did not take up job '{name}' within {seconds:g} s. See that Kubeflow's MPI"
                " operator with kubeflow.org/v2beta1 runs in this cluster."
            )
        case Phase.SCHEDULED:
            return InputError(_no_room(seconds, job, pods, told))
        case Phase.RUNNING:
            waiting = "; ".join(_reasons_to_wait(pods)) or "no reason is told"
            return InputError(
                f"launcher: the pods of job '{name}' did not run within {seconds:g} s: {waiting}.{told} See that the"
                " image can be pulled, that its sshd starts, and that the task's own pool has room for the launcher."
            )
        case Phase.FINISHED:
            return TimeoutError(
                f"the training did not finish within {seconds:g} s. Run this step again, which goes on from the last"
                " checkpoint, or set IMAGE_PIPELINES_JOB_FINISHED_TIMEOUT_SECONDS."
            )


def _no_room(seconds: float, job: Object, pods: Sequence[Object], told: str) -> str:
    """Return which pool lacks what: what the workers ask for, and what the scheduler found."""
    worker = job["spec"]["mpiReplicaSpecs"]["Worker"]
    spec = worker["template"]["spec"]
    resources = spec["containers"][0]["resources"]
    asked = {**resources["requests"], **{name: limit for name, limit in resources["limits"].items() if name == GPU}}
    each = ", ".join(f"{quantity} {name}" for name, quantity in asked.items()) or "no resources"
    pool = ",".join(f"{key}={value}" for key, value in spec["nodeSelector"].items()) or "any"
    without = worker["replicas"] - sum("nodeName" in pod["spec"] for pod in pods)
    found = next(filter(None, map(_unschedulable, pods)), "") or told.strip() or "The scheduler gives no reason."
    return (
        f"gpu_node_selector: the nodes with {pool} had no room for {without} of {worker['replicas']} workers, which ask"
        f" for {each} each, within {seconds:g} s. {found} Add such nodes, or ask for less."
    )


def _unschedulable(pod: Object) -> str:
    conditions: list[Object] = pod["status"].get("conditions", [])
    return next((each["message"].rstrip(".") + "." for each in conditions if each.get("reason") == "Unschedulable"), "")


def _reasons_to_wait(pods: Sequence[Object]) -> Iterator[str]:
    for pod in pods:
        if no_room := _unschedulable(pod):
            yield f"{pod['metadata']['name']}: {no_room.rstrip('.')}"
        statuses: list[dict[str, Any]] = pod["status"].get("containerStatuses", [])
        for status in statuses:
            waiting = status["state"].get("waiting")
            if waiting:
                detail = f" ({waiting['message']})" if waiting.get("message") else ""
                yield f"{pod['metadata']['name']}: {waiting['reason']}{detail}"
            elif not status["ready"]:
                yield f"{pod['metadata']['name']}: not ready"

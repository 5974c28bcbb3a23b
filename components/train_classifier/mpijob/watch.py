"""Follow an MPIJob to its end: relay its log, enforce the time limit of each phase, and explain failures."""

import math
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from components.errors import InputError
from components.settings import Settings
from components.train_classifier.launcher import RankKilled
from components.train_classifier.mpijob.cluster import Object, TrainingJobs
from components.train_classifier.mpijob.options import GPU
from components.train_classifier.mpijob.relay import LogRelay
from components.train_classifier.mpijob.termination import Terminations, killed_rank
from components.train_classifier.rank_output import RankOutput

POLL_SECONDS = 1.0

# Reasons for which a container waits for its image.
_IMAGE_REASONS = {"ErrImagePull", "ErrImageNeverPull", "ImageInspectError", "ImagePullBackOff", "InvalidImageName"}


class Phase(IntEnum):
    """The next state that an MPIJob waits for."""

    CREATED = 0
    SCHEDULED = 1
    RUNNING = 2
    FINISHED = 3


@dataclass(frozen=True)
class Deadlines:
    """Time limits of an MPIJob's phases, in seconds.

    Attributes:
        created: Time until the operator processes the job.
        scheduled: Time until all workers are scheduled.
        running: Time until the launcher runs. It waits for the workers' images and their sshd.
        finished: Time until the job ends.
        stalled: Time without progress of the ranks.
    """

    created: float
    scheduled: float
    running: float
    finished: float
    stalled: float = math.inf

    @classmethod
    def of(cls, settings: Settings) -> "Deadlines":
        """Return the time limits in the settings."""
        return cls(
            settings.job_created_timeout_seconds,
            settings.job_scheduled_timeout_seconds,
            settings.job_running_timeout_seconds,
            settings.job_finished_timeout_seconds,
            settings.stall_timeout_seconds,
        )

    def for_phase(self, phase: Phase) -> float:
        """Return the time limit of a phase, in seconds."""
        return (self.created, self.scheduled, self.running, self.finished)[phase]


def follow(jobs: TrainingJobs, name: str, deadlines: Deadlines) -> None:
    """Follow an MPIJob until it succeeds, and print the output of its ranks.

    Args:
        jobs: The MPIJobs of the namespace.
        name: Name of the MPIJob.
        deadlines: Time limits of its phases.

    Raises:
        InputError: The operator or an image is missing, no node has room, or a rank needs more memory. The message
            names the cause.
        RankKilled: Kubernetes ended a pod, or the ranks made no progress in time.
        RuntimeError: A rank failed, or the job was deleted.
        TimeoutError: The job did not finish in time.
    """
    output = RankOutput()
    terminations = Terminations()
    relays: dict[str, LogRelay] = {}
    phase, since = Phase.CREATED, time.monotonic()
    while True:
        job = jobs.get(name)
        if job is None:
            raise RuntimeError(f"MPIJob '{name}' was deleted while its training ran. Run this step again.")
        # In this order; see `Terminations.observe`.
        workers, launchers = jobs.pods(name, "worker"), jobs.pods(name, "launcher")
        terminations.observe(job, workers, launchers)
        for pod in launchers:
            relay = _relay(relays, jobs, pod["metadata"]["name"])
            for line in relay.new_lines():
                output.add(line)
            if not relay.is_available:
                # The ranks may make progress that this task does not see.
                output.restart_clock()
        if (failure := condition(job, "Failed")) is not None:
            raise terminations.error or _failure(job, output, launchers, failure)
        if condition(job, "Succeeded") is not None:
            return
        if terminations.cause is not None:
            # The launcher may not notice that a worker's node is lost.
            raise terminations.cause
        reached = max(phase, _phase(job, workers, launchers))
        if reached > phase:
            phase, since = reached, time.monotonic()
            output.restart_clock()
        if phase is Phase.FINISHED and output.seconds_without_progress > deadlines.stalled:
            raise terminations.error or RankKilled(output.stall(deadlines.stalled))
        if time.monotonic() - since > deadlines.for_phase(phase):
            pods = [*workers, *launchers]
            raise terminations.error or _timeout_error(
                phase, deadlines.for_phase(phase), job, pods, jobs.warnings(name)
            )
        time.sleep(POLL_SECONDS)


def condition(job: Object, kind: str) -> Object | None:
    """Return the condition of a kind that is true for an MPIJob, or None."""
    conditions: list[Object] = job.get("status", {}).get("conditions", [])
    return next((item for item in conditions if item["type"] == kind and item["status"] == "True"), None)


def _relay(relays: dict[str, LogRelay], jobs: TrainingJobs, pod: str) -> LogRelay:
    if pod not in relays:
        relays[pod] = LogRelay(lambda since: jobs.read_log(pod, since))
    return relays[pod]


def _phase(job: Object, workers: Sequence[Object], launchers: Sequence[Object]) -> Phase:
    """Return the phase of an MPIJob."""
    if condition(job, "Created") is None:
        return Phase.CREATED
    expected_workers = job["spec"]["mpiReplicaSpecs"]["Worker"]["replicas"]
    if sum("nodeName" in pod["spec"] for pod in workers) < expected_workers:
        return Phase.SCHEDULED
    if not any(pod["status"].get("phase") not in (None, "Pending") for pod in launchers):
        return Phase.RUNNING
    return Phase.FINISHED


def _failure(job: Object, output: RankOutput, launchers: Sequence[Object], failure: Object) -> Exception:
    """Return why an MPIJob failed: the error of the ranks, or the operator's message without a launcher."""
    # The exit code of a launcher that is being deleted does not depend on the ranks.
    remaining = [pod for pod in launchers if not pod["metadata"].get("deletionTimestamp")]
    exit_codes = [
        status["state"]["terminated"]["exitCode"]
        for pod in remaining
        for status in pod["status"].get("containerStatuses", [])
        if "terminated" in status["state"]
    ]
    if exit_codes:
        match output.killed(exit_codes[-1]):
            case (rank, signal.SIGKILL):
                return killed_rank(job, rank)
            case (_, _):
                return RankKilled(output.failure(exit_codes[-1]))
        return RuntimeError(output.failure(exit_codes[-1]))
    detail = "" if remaining else " Its launcher pod no longer exists: it was deleted, or its node was lost."
    return RuntimeError(f"the MPIJob failed: {failure.get('message') or failure['reason']}.{detail}")


def _timeout_error(
    phase: Phase, seconds: float, job: Object, pods: Sequence[Object], warnings: Sequence[str]
) -> Exception:
    name = job["metadata"]["name"]
    warning = f" The operator's last warning: {warnings[-1].rstrip('.')}." if warnings else ""
    match phase:
        case Phase.CREATED if warnings:
            return InputError(
                f"launcher: the MPI operator could not start MPIJob '{name}' within {seconds:g} s.{warning} Request"
                " fewer resources, or change the quota or policy."
            )
        case Phase.CREATED:
            return InputError(
                f"launcher: the MPI operator did not process MPIJob '{name}' within {seconds:g} s. Check that"
                " Kubeflow's MPI operator for kubeflow.org/v2beta1 runs in this cluster."
            )
        case Phase.SCHEDULED:
            return InputError(_no_room(seconds, job, pods, warning))
        case Phase.RUNNING:
            waiting = "; ".join(waiting_reasons(pods)) or "Kubernetes gives no reason"
            return InputError(
                f"launcher: the pods of MPIJob '{name}' did not start within {seconds:g} s: {waiting}.{warning} Check"
                " that the image can be pulled, that its sshd starts, and that the task's own nodes have room for the"
                " launcher."
            )
        case Phase.FINISHED:
            return TimeoutError(
                f"the training did not finish within {seconds:g} s. Run this step again to resume from the last"
                " checkpoint, or raise IMAGE_PIPELINES_JOB_FINISHED_TIMEOUT_SECONDS."
            )


def _no_room(seconds: float, job: Object, pods: Sequence[Object], warning: str) -> str:
    """Return an error with the nodes, the workers' requests and the reason why the scheduler finds no room."""
    worker = job["spec"]["mpiReplicaSpecs"]["Worker"]
    spec = worker["template"]["spec"]
    resources = spec["containers"][0]["resources"]
    requested = {**resources["requests"], **{name: limit for name, limit in resources["limits"].items() if name == GPU}}
    resources_of_worker = ", ".join(f"{quantity} {name}" for name, quantity in requested.items()) or "no resources"
    selector = ",".join(f"{key}={value}" for key, value in spec["nodeSelector"].items())
    nodes = f"the nodes with {selector}" if selector else "the nodes"
    unscheduled = worker["replicas"] - sum("nodeName" in pod["spec"] for pod in pods)
    reason = next(filter(None, map(_unschedulable, pods)), "") or warning.strip() or "The scheduler gives no reason."
    return (
        f"gpu_node_selector: {nodes} had no room for {unscheduled} of {worker['replicas']} workers within {seconds:g}"
        f" s. Each worker requests {resources_of_worker}. {reason} Add such nodes, or request fewer resources."
    )


def _unschedulable(pod: Object) -> str:
    conditions: list[Object] = pod["status"].get("conditions", [])
    messages = (item["message"] for item in conditions if item.get("reason") == "Unschedulable")
    return next((f"{message.rstrip('.')}." for message in messages), "")


def waiting_reasons(pods: Sequence[Object]) -> Iterator[str]:
    """Yield why pods do not start: no node, an image that can't be pulled, or a container that is not ready."""
    for pod in pods:
        if unschedulable := _unschedulable(pod):
            yield f"{pod['metadata']['name']}: {unschedulable.rstrip('.')}"
        statuses: list[dict[str, Any]] = pod["status"].get("containerStatuses", [])
        for status in statuses:
            waiting = status["state"].get("waiting")
            if waiting:
                detail = f" ({waiting['message']})" if waiting.get("message") else ""
                reason = f"{waiting['reason']}{detail}"
                if waiting["reason"] in _IMAGE_REASONS:
                    reason = f"image '{status['image']}' could not be pulled: {reason}"
                yield f"{pod['metadata']['name']}: {reason}"
            elif not status["ready"]:
                yield f"{pod['metadata']['name']}: not ready"

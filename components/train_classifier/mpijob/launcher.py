"""A launcher that starts the ranks of a training as an MPIJob."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from components.cluster.pod import Pod
from components.container_images import ContainerImages
from components.storage import uri
from components.storage.files import Files
from components.train_classifier.job_record import read_job_record, write_job_record
from components.train_classifier.launcher import AdoptedJobFailed
from components.train_classifier.mpijob.cluster import Object, TrainingJobs
from components.train_classifier.mpijob.manifest import TRAINING_LABEL, build_job, job_name
from components.train_classifier.mpijob.options import JobOptions
from components.train_classifier.mpijob.validation import validate
from components.train_classifier.mpijob.watch import POLL_SECONDS, Deadlines, condition, follow

logger = logging.getLogger(__name__)

TASK = "train-classifier"
MPIRUN = ("python3", "-m", "components.train_classifier.rank.mpirun")

# Pods are deleted after their grace period; pods of a lost node, after some minutes.
_DELETION_SECONDS = 600


@dataclass(frozen=True)
class MPIJobLauncher:
    """Starts ranks in pods of an MPIJob, in the namespace of this task's pod.

    The run of this task owns the job. If this process is killed, the job keeps running. Then the task's next attempt
    adopts the job, or an attempt in another run replaces it, or the missing heartbeat ends it. `clean_up` finds the job
    by its label, whichever run owns it.

    Attributes:
        options: Size, pools and environment of the pods.
        deadlines: Time limits of the job's phases.
        files: Access to the trainings' folders.
        image: Image of the pods. If empty, the trainer image for GPUs or for CPUs, as the ranks need.
        command: Command of the MPIJob's launcher, to which the number of ranks and the request's URI are appended.
    """

    options: JobOptions
    deadlines: Deadlines
    files: Files
    image: str = ""
    command: Sequence[str] = MPIRUN

    def launch(self, request_uri: str, ranks: int) -> None:
        """Run a training to its end; see `Launcher`.

        Raises:
            AdoptedJobFailed: The job of an earlier attempt failed.
            InputError: The job is invalid, or the cluster has no room for it.
            TimeoutError: The job does not end in time, or an earlier job can't be deleted.
        """
        pod = Pod.current()
        jobs = TrainingJobs(pod.namespace)
        run, identity = jobs.pod_identity(pod.name)
        training = uri.digest(request_uri)
        name = job_name(run, TASK, training, ranks // self.options.placement.slots_per_worker)
        command = [*self.command, str(ranks), request_uri]
        image = self.image or ContainerImages().trainer_for(self.options.rank_gpus)
        job = build_job(name, training, image, command, ranks, self.options, identity)
        validate(job)
        adopted = _start(jobs, job, request_uri, self.files)
        try:
            follow(jobs, name, self.deadlines)
        except RuntimeError as error:
            if adopted:
                # The job's ranks may have stopped before this task renewed the heartbeat.
                raise AdoptedJobFailed(str(error)) from error
            raise

    def clean_up(self, request_uri: str) -> bool:
        """Delete all MPIJobs of a training, and record one of them; see `Launcher`.

        The recorded job is the one that succeeded, or else the newest. A failed job never replaces the record of
        another job.
        """
        jobs = TrainingJobs(Pod.current().namespace)
        existing = jobs.list_for_training(uri.digest(request_uri))
        if not existing:
            return True
        last = max(existing, key=lambda job: (_has_succeeded(job), job["metadata"]["creationTimestamp"]))
        recorded = read_job_record(request_uri, self.files)
        if not recorded or _has_succeeded(last) or _name(recorded) == _name(last):
            write_job_record(request_uri, last, self.files)
        names = [_name(job) for job in existing]
        is_deleted = _delete(jobs, names)
        if not is_deleted:
            logger.warning(
                "MPIJobs %s still exist %s s after the request to delete them", ", ".join(names), _DELETION_SECONDS
            )
        return is_deleted


def _start(jobs: TrainingJobs, job: Object, request_uri: str, files: Files) -> bool:
    """Create an MPIJob, or adopt the one that an earlier attempt left running.

    Args:
        jobs: The MPIJobs of the namespace.
        job: The MPIJob to create.
        request_uri: URI of the `TrainingRequest`.
        files: Access to the training's folder.

    Returns:
        Whether the job is adopted.
    """
    name = _name(job)
    existing = jobs.list_for_training(job["metadata"]["labels"][TRAINING_LABEL])
    own = next((other for other in existing if _name(other) == name and not _has_ended(other)), None)
    # No task watches the other jobs, because this task holds the training's lock.
    others = [_name(other) for other in existing if other is not own]
    if not _delete(jobs, others):
        raise TimeoutError(
            f"MPIJobs {', '.join(others)} of the same training were not deleted within {_DELETION_SECONDS} s. Check"
            " which of their pods is stuck, and run this step again."
        )
    # The record is written first, so that each job has a record even if this task is lost.
    write_job_record(request_uri, own or job, files)
    workers = job["spec"]["mpiReplicaSpecs"]["Worker"]["replicas"]
    if jobs.create(job):
        print(f"created MPIJob '{name}' with {workers} workers", flush=True)
        return False
    print(f"adopted MPIJob '{name}' with {workers} workers, which outlived the task that created it", flush=True)
    return True


def _name(job: Object) -> str:
    """Return the name of an MPIJob; empty for the record of a command on one machine."""
    return str(job.get("metadata", {}).get("name", ""))


def _has_succeeded(job: Object) -> bool:
    return condition(job, "Succeeded") is not None


def _has_ended(job: Object) -> bool:
    return "deletionTimestamp" in job["metadata"] or condition(job, "Failed") is not None or _has_succeeded(job)


def _delete(jobs: TrainingJobs, names: Sequence[str]) -> bool:
    """Delete MPIJobs, and return whether they and their dependents no longer exist."""
    for name in names:
        jobs.delete(name)
    deadline = time.monotonic() + _DELETION_SECONDS
    while any(jobs.get(name) is not None for name in names):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True

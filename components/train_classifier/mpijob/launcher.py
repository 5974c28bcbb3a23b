"""Start the ranks of a training as an MPIJob."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from components.cluster.pod import Pod
from components.container_images import ContainerImages
from components.storage import uri
from components.train_classifier.job_file import keep_job
from components.train_classifier.mpijob.cluster import Object, TrainingJobs
from components.train_classifier.mpijob.manifest import TRAINING_LABEL, build_job
from components.train_classifier.mpijob.naming import job_name
from components.train_classifier.mpijob.options import JobOptions
from components.train_classifier.mpijob.validation import validate
from components.train_classifier.mpijob.watch import POLL_SECONDS, Deadlines, condition, follow

logger = logging.getLogger(__name__)

TASK = "train-classifier"
MPIRUN = ("python3", "-m", "components.train_classifier.mpirun")

# Pods go after their grace period; those of a node that is lost, after some minutes.
_GONE_SECONDS = 600


@dataclass(frozen=True)
class MPIJobLauncher:
    """Starts ranks as pods of an MPIJob, in the namespace of this task's pod.

    The job belongs to the run that this task is part of. It is deleted when this returns or raises. It goes on when
    this process is killed, and the next try of the task adopts it; if there is none, its heartbeat ends it.

    Attributes:
        options: The ranks' size, pools and environment.
        deadlines: How long each phase may take.
        image: Image of the job's pods.
        command: What the launcher runs, before the number of ranks and the request's URI.
    """

    options: JobOptions
    deadlines: Deadlines
    image: str = field(default_factory=lambda: ContainerImages().trainer_image)
    command: Sequence[str] = MPIRUN

    def launch(self, request_uri: str, ranks: int) -> None:
        """Run a training to its end; see `Launcher`.

        Raises:
            InputError: The job makes no sense, or the cluster has no place for it.
            TimeoutError: It does not end, or one before it does not go.
        """
        pod = Pod.current()
        jobs = TrainingJobs(pod.namespace)
        run, identity = jobs.identity_of(pod.name)
        training = uri.digest(request_uri)
        name = job_name(run, TASK, training, ranks // self.options.slots_per_worker)
        command = [*self.command, str(ranks), request_uri]
        job = build_job(name, training, self.image, command, ranks, self.options, identity)
        validate(job)
        _start(jobs, job)
        try:
            follow(jobs, name, self.deadlines)
        finally:
            last = jobs.get(name) or job
            if not _end(jobs, name):
                logger.warning("job '%s' is being deleted, but still there after %s s", name, _GONE_SECONDS)
            keep_job(request_uri, last)


def _start(jobs: TrainingJobs, job: Object) -> None:
    """Create a job, or adopt what an earlier try of the same task left running."""
    name = job["metadata"]["name"]
    for other in jobs.of_training(job["metadata"]["labels"][TRAINING_LABEL]):
        # One of another run has lost its submitter: whoever submits holds the training's lock.
        other_name = other["metadata"]["name"]
        if (other_name != name or _is_over(other)) and not _end(jobs, other_name):
            raise TimeoutError(
                f"job '{other_name}' of the same training does not go within {_GONE_SECONDS} s. See which of its pods"
                " is stuck, and run this step again."
            )
    workers = job["spec"]["mpiReplicaSpecs"]["Worker"]["replicas"]
    if jobs.create(job):
        print(f"job '{name}' with {workers} workers is created", flush=True)
    else:
        print(f"job '{name}' with {workers} workers is adopted: it outlived the task that created it", flush=True)


def _is_over(job: Object) -> bool:
    return (
        "deletionTimestamp" in job["metadata"]
        or condition(job, "Failed") is not None
        or condition(job, "Succeeded") is not None
    )


def _end(jobs: TrainingJobs, name: str) -> bool:
    """Delete a job, and return whether it and all that it had is gone."""
    jobs.delete(name)
    end = time.monotonic() + _GONE_SECONDS
    while time.monotonic() < end:
        if jobs.get(name) is None:
            return True
        time.sleep(POLL_SECONDS)
    return False

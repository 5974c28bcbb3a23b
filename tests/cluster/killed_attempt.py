"""An attempt at a training that kills itself at a given point.

The MPIJob is real. Its launcher runs a shell script instead of ranks. To save time, the attempt itself writes the files
that ranks would write.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from components.parameters import Placement
from components.storage.files import Files
from components.train_classifier.mpijob import launcher as launcher_module
from components.train_classifier.mpijob.cluster import Object, TrainingJobs
from components.train_classifier.mpijob.launcher import MPIJobLauncher
from components.train_classifier.mpijob.options import JobOptions
from components.train_classifier.mpijob.watch import Deadlines
from tests.support.task_attempt import Outputs, die

_OPTIONS = JobOptions(placement=Placement(gpus_per_rank=0, rank_cpu="10m", rank_memory="256Mi"))
_DEADLINES = Deadlines(created=120, scheduled=120, running=120, finished=600)


class Point(StrEnum):
    """The point at which an attempt kills itself."""

    NOWHERE = "nowhere"
    AFTER_CREATION = "after the job's creation"
    BEFORE_DELETION = "before the job's deletion"
    DURING_DELETION = "during the job's deletion"
    BEFORE_PUBLISHING = "before publishing"


@dataclass(frozen=True)
class Attempt:
    """An attempt at a training.

    Attributes:
        outputs: Outputs of the component.
        parameters: Parameters of the component.
        image: Image of the MPIJob's pods.
        environment: Environment variables of the attempt, including those of its pod.
        work: Function that writes the ranks' files into the training's folder when the attempt creates a job.
        dies: Point at which the attempt kills itself.
        adopts: Function that is called with a job that the attempt adopts.
        script: Shell script that the MPIJob's launcher runs.
    """

    outputs: Outputs
    parameters: Mapping[str, Any]
    image: str
    environment: Mapping[str, str]
    work: Callable[[str], None]
    dies: Point = Point.NOWHERE
    adopts: Callable[[Object], None] = lambda _: None
    script: str = "true"

    def run(self) -> None:
        """Run the attempt in this process, which can't be used for anything else afterwards."""
        os.environ.update(self.environment)
        attempt = self

        class Jobs(TrainingJobs):
            def create(self, job: Object) -> bool:
                created = super().create(job)
                if created:
                    attempt.work(folder_of(job))
                else:
                    attempt.adopts(job)
                attempt.die_at(Point.AFTER_CREATION)
                return created

            def delete(self, name: str) -> None:
                attempt.die_at(Point.BEFORE_DELETION)
                super().delete(name)
                attempt.die_at(Point.DURING_DELETION)

        vars(launcher_module)["TrainingJobs"] = Jobs
        launcher = MPIJobLauncher(_OPTIONS, _DEADLINES, Files(), self.image, ["sh", "-c", self.script, "sh"])
        self.outputs.run(self.parameters, launcher, lambda: self.die_at(Point.BEFORE_PUBLISHING))

    def die_at(self, point: Point) -> None:
        """Kill this process if the attempt dies at a point."""
        if point is self.dies:
            die()


def folder_of(job: Object) -> str:
    """Return the URI of the training's folder of an MPIJob."""
    (container,) = job["spec"]["mpiReplicaSpecs"]["Launcher"]["template"]["spec"]["containers"]
    return str(container["args"][-1].rpartition("/")[0])

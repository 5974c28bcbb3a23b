"""A task that starts a job and watches it, as a process of its own: `python submitted_job.py JSON`."""

import json
import sys

from components.train_classifier.mpijob.launcher import MPIJobLauncher
from components.train_classifier.mpijob.options import JobOptions
from components.train_classifier.mpijob.watch import Deadlines

if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    launcher = MPIJobLauncher(
        JobOptions.model_validate(asked["options"]),
        Deadlines(**asked["deadlines"]),
        image=asked["image"],
        command=["sh", "-c", asked["script"], "sh"],
    )
    launcher.launch(asked["request_uri"], asked["ranks"])

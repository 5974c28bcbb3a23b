"""A task that starts an MPIJob and watches it, as a separate process: `python submitted_job.py JSON`."""

import json
import sys

from components.storage.files import Files
from components.train_classifier.mpijob.launcher import MPIJobLauncher
from components.train_classifier.mpijob.options import JobOptions
from components.train_classifier.mpijob.watch import Deadlines

if __name__ == "__main__":
    submission = json.loads(sys.argv[1])
    launcher = MPIJobLauncher(
        JobOptions.model_validate(submission["options"]),
        Deadlines(**submission["deadlines"]),
        Files(),
        image=submission["image"],
        command=["sh", "-c", submission["script"], "sh"],
    )
    try:
        launcher.launch(submission["request_uri"], submission["ranks"])
    finally:
        launcher.clean_up(submission["request_uri"])

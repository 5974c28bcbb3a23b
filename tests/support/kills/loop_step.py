"""One step of the loop as a process, like a task: `python -m tests.support.kills.loop_step`.

Settings come from the environment. The process starts Spark, prints that it is ready, reads the step's name from
standard input, and prints `done` at its end. So one process can start while another works.
"""

import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from components.build_training_set.build import build
from components.child_process import end_with_parent
from components.export_for_labeling.export import export
from components.import_labels.import_annotations import import_annotations
from components.ingest_images.discovery import queues
from components.ingest_images.ingest import ingest
from components.maintain_lake.maintain import maintain
from components.parameters import Choice, IngestOptions, MaintenanceFields
from components.score_images.score import score
from components.settings import Settings
from components.spark.session import spark_session

READY = "ready for a step"
# Environment variable with the URL of the queue of the landing folder; without it, ingest lists the folder.
QUEUE = "LANDING_QUEUE"
# Messages of a killed step return after these seconds.
_VISIBILITY_SECONDS = 5

STEPS: dict[str, Callable[[Settings], Any]] = {
    "ingest": lambda settings: ingest(settings, options=IngestOptions(queue=os.environ.get(QUEUE, "")), labeled=False),
    "score": score,
    "export": lambda settings: export(settings, choice=Choice(threshold=1, fraction=1, audit_fraction=0)),
    "build": build,
    # A month ahead, so that nothing counts as in use.
    "maintain": lambda settings: maintain(
        settings, MaintenanceFields(keep_trainings=1), datetime.now(UTC) + timedelta(days=30)
    ),
    "import": lambda settings: import_annotations(settings, ""),
}


def main() -> None:
    # A prepared process has a session of its own, so it would outlive tests that are terminated.
    end_with_parent(os.getppid())
    queues.VISIBILITY_SECONDS = _VISIBILITY_SECONDS
    settings = Settings.load()
    spark_session(settings)
    print(READY, flush=True)
    step = sys.stdin.read()
    print(step, flush=True)
    STEPS[step](settings)
    print("done", flush=True)


if __name__ == "__main__":
    main()

"""One step of the loop as a process of its own, as a task is: `python -m tests.local.loop_step`.

The settings come from the environment. It starts Spark, says that it is ready, waits for the step's name on its
standard input, and says `done` at its end: so that one can start while another works.
"""

import sys
from collections.abc import Callable
from typing import Any

from components.export_for_labeling.choice import Choice
from components.export_for_labeling.export import export
from components.import_labels.import_answers import import_answers
from components.ingest_images.ingest import ingest
from components.lake import spark_session
from components.score_images.score import score
from components.settings import Settings

READY = "ready for a step"

STEPS: dict[str, Callable[[Settings], Any]] = {
    "ingest": lambda settings: ingest(settings, "", labelled=False),
    "score": score,
    "export": lambda settings: export(settings, choice=Choice(threshold=1, fraction=1, audit_fraction=0)),
    "import": lambda settings: import_answers(settings, ""),
}


def main() -> None:
    settings = Settings.load()
    spark_session(settings)
    print(READY, flush=True)
    step = sys.stdin.read()
    print(step, flush=True)
    STEPS[step](settings)
    print("done", flush=True)


if __name__ == "__main__":
    main()

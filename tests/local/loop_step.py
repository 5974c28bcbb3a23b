"""One step of the loop as a process of its own, as a task is: `python -m tests.local.loop_step STEP`.

The settings come from the environment. It says `done` at its end.
"""

import sys
from collections.abc import Callable
from typing import Any

from components.export_for_labeling.choice import Choice
from components.export_for_labeling.export import export
from components.import_labels.import_answers import import_answers
from components.ingest_images.ingest import ingest
from components.score_images.score import score
from components.settings import Settings

STEPS: dict[str, Callable[[Settings], Any]] = {
    "ingest": lambda settings: ingest(settings, "", labelled=False),
    "score": score,
    "export": lambda settings: export(settings, choice=Choice(threshold=1, fraction=1, audit_fraction=0)),
    "import": lambda settings: import_answers(settings, ""),
}


def main() -> None:
    STEPS[sys.argv[1]](Settings.load())
    print("done", flush=True)


if __name__ == "__main__":
    main()

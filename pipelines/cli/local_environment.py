"""Default settings of runs on this machine."""

import os
from pathlib import Path

from pipelines.catalogue import REPOSITORY


def trainer_python() -> Path:
    """Return the Python of the trainer environment that `make setup` creates."""
    return REPOSITORY / ".venv" / "trainer" / "bin" / "python"


def default_environment() -> dict[str, str]:
    """Return the default settings of a run on this machine that the shell does not set."""
    defaults = {"IMAGE_PIPELINES_TRAINER_PYTHON": str(trainer_python())}
    return {name: value for name, value in defaults.items() if name not in os.environ}

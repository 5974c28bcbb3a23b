"""Selection of the launcher that the settings name."""

import shutil
from pathlib import Path

from components.errors import InputError
from components.settings import Settings
from components.storage.files import Files
from components.train_classifier.launcher import Launcher
from components.train_classifier.local_launcher import LocalLauncher
from components.train_classifier.mpijob.options import JobOptions


def make_launcher(settings: Settings, options: JobOptions | None = None) -> Launcher:
    """Return the launcher that the settings name.

    Args:
        settings: Settings with the launcher's name, the trainer's Python and the deadlines.
        options: Size, pools and environment of an MPIJob's pods.

    Raises:
        InputError: The trainer environment does not exist.
    """
    match settings.launcher:
        case "local":
            return LocalLauncher(
                _trainer_python(settings),
                Files.of(settings),
                stall_timeout_seconds=settings.stall_timeout_seconds,
            )
        case "mpijob":
            # Importing the Kubernetes client takes a second.
            from components.train_classifier.mpijob.launcher import MPIJobLauncher
            from components.train_classifier.mpijob.watch import Deadlines

            return MPIJobLauncher(options or JobOptions(), Deadlines.of(settings), Files.of(settings))


def _trainer_python(settings: Settings) -> Path:
    python = shutil.which(settings.trainer_python)
    if python is None:
        raise InputError(
            f"trainer_python: program '{settings.trainer_python}' not found. Create the trainer environment with"
            " `make setup`, and set IMAGE_PIPELINES_TRAINER_PYTHON to its Python."
        )
    return Path(python)

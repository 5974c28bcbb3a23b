"""The folders of trainings below the lake's root: `training_runs/<key>/`. A training holds the lock of its key."""

RUNS_FOLDER = "training_runs"
REQUEST_FILE = "request.json"
RUN_FILE = "run.json"
RESULT_FILE = "result.json"


def training_lock(key: str) -> str:
    """Return the name of the lock that a task holds while it runs a training.

    Args:
        key: Name of the training's folder.
    """
    return f"training-{key}"

"""Names of jobs: a retry finds the job of the try before it by its name."""

import hashlib
import re

_LONGEST_LABEL = 63
_DIGITS = 8
_LAUNCHER_SUFFIX = "-launcher"


def job_name(run: str, task: str, training: str, workers: int) -> str:
    """Return the name of a training's job: of the run and the task, so far as they fit, and of all three for certain.

    Args:
        run: Name of the Argo Workflow, or of the pod where there is none.
        task: Name of the task.
        training: What distinguishes the training from others of the same task.
        workers: How many; the operator makes host names of the job's name and their numbers.

    Returns:
        A name whose launcher and workers have names of at most 63 characters.
    """
    longest_suffix = max(len(_LAUNCHER_SUFFIX), len(f"-worker-{workers - 1}"))
    digest = hashlib.sha256("\0".join((run, task, training)).encode()).hexdigest()[:_DIGITS]
    room = _LONGEST_LABEL - longest_suffix - len(digest) - 1
    readable = re.sub(r"[^a-z0-9]+", "-", f"{run}-{task}".lower()).lstrip("-0123456789")[:room].rstrip("-")
    return f"{readable or 'job'}-{digest}"

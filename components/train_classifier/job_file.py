"""What the ranks of a training ran as, kept beside its checkpoints."""

from collections.abc import Mapping
from typing import Any

import yaml

from components.storage import files, uri
from components.train_classifier.request import TrainingRequest

JOB_FILE = "job.yaml"


def keep_job(request_uri: str, job: Mapping[str, Any]) -> None:
    """Write what ran beside its request.

    Args:
        request_uri: The request, which is in the training's folder.
        job: An MPIJob with its last status, or what says as much of ranks on this machine.
    """
    files.write_text(uri.join(request_uri.rpartition("/")[0], JOB_FILE), yaml.safe_dump(dict(job), sort_keys=False))


def read_job(request: TrainingRequest) -> str:
    """Return the YAML of what a training ran as."""
    return files.read_text(uri.join(request.run_directory, JOB_FILE))

"""The record of a training's job: a file in the training's folder that becomes the artifact `job`."""

from collections.abc import Mapping
from typing import Any

import yaml

from components.storage import uri
from components.storage.files import Files
from components.train_classifier.request import TrainingRequest

JOB_FILE = "job.yaml"

_LOST = (
    "The record of this training's job is missing: the task that started the job was lost before it wrote job.yaml."
    " The training is complete."
)


def write_job_record(request_uri: str, job: Mapping[str, Any], files: Files) -> None:
    """Write the record of a training's job beside its request.

    Args:
        request_uri: URI of the request, which is in the training's folder.
        job: The MPIJob with its last status, or the command on this machine.
        files: Access to the training's folder.
    """
    files.write_text(_job_file(request_uri), yaml.safe_dump(dict(job), sort_keys=False))


def read_job_record(request_uri: str, files: Files) -> dict[str, Any]:
    """Return the record of a training's job, or an empty dictionary without one.

    Args:
        request_uri: URI of the request, which is in the training's folder.
        files: Access to the training's folder.
    """
    file = _job_file(request_uri)
    job: dict[str, Any] = yaml.safe_load(files.read_text(file)) if files.exists(file) else {}
    return job


def job_record_yaml(request: TrainingRequest, files: Files) -> str:
    """Return the record of a training's job as YAML, or a message in YAML if the record is missing.

    Args:
        request: The training.
        files: Access to the training's folder.
    """
    file = uri.join(request.run_directory, JOB_FILE)
    return files.read_text(file) if files.exists(file) else yaml.safe_dump({"message": _LOST})


def _job_file(request_uri: str) -> str:
    return uri.join(request_uri.rpartition("/")[0], JOB_FILE)

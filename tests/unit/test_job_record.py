"""The record of the job that ran a training."""

from pathlib import Path

import yaml

from components.storage.files import Files
from components.train_classifier.job_record import job_record_yaml, read_job_record, write_job_record
from components.train_classifier.request import REQUEST_FILE, TrainingRequest


def request_in(folder: Path) -> TrainingRequest:
    return TrainingRequest.make(
        Files(),
        training_set="none",
        backbone="small",
        mlflow_tracking_uri="none",
        experiment="none",
        run_directory=folder.as_uri(),
        features_directory=folder.as_uri(),
    )


def test_job_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    job = {"kind": "MPIJob", "metadata": {"name": "image-training-1"}}

    write_job_record(f"{tmp_path.as_uri()}/{REQUEST_FILE}", job, Files())

    assert read_job_record(f"{tmp_path.as_uri()}/{REQUEST_FILE}", Files()) == job
    assert yaml.safe_load(job_record_yaml(request_in(tmp_path), Files())) == job


def test_lost_job_record_is_a_message_in_yaml(tmp_path: Path) -> None:
    assert read_job_record(f"{tmp_path.as_uri()}/{REQUEST_FILE}", Files()) == {}
    assert yaml.safe_load(job_record_yaml(request_in(tmp_path), Files()))["message"].startswith(
        "The record of this training's job is missing:"
    )

"""The files that ranks write, for tests whose ranks do not train."""

import json

from components.storage import uri
from components.storage.files import Files
from components.train_classifier.request import RESULT_FILE, RUN_FILE
from tests.support.report_samples import training_result


def record_run(folder: str, run_id: str) -> None:
    """Write the id of a training's MLflow run into the training's folder."""
    Files().write_text(uri.join(folder, RUN_FILE), json.dumps({"run_id": run_id}))


def record_result(folder: str, run_id: str = "") -> None:
    """Write a result into a training's folder, and the id of its MLflow run unless it is empty."""
    if run_id:
        record_run(folder, run_id)
    result = training_result().model_copy(update={"run_id": run_id})
    Files().write_text(uri.join(folder, RESULT_FILE), result.model_dump_json())

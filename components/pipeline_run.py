"""The pipeline run that a task belongs to, and its page in the UI."""

import os

from components.settings import ENVIRONMENT_PREFIX

RUN_ID_VARIABLE = f"{ENVIRONMENT_PREFIX}RUN_ID"
# Kubeflow Pipelines puts this label on each pod of a run, and Kubernetes' downward API passes it to the task.
RUN_ID_FIELD_PATH = "metadata.labels['pipeline/runid']"


def current_run_id() -> str:
    """Return the id of this task's run, or an empty text outside of a run."""
    return os.environ.get(RUN_ID_VARIABLE, "")


def run_page(ui_endpoint: str, run_id: str) -> str:
    """Return the URL of a run's page.

    Args:
        ui_endpoint: URL of Kubeflow Pipelines' UI.
        run_id: The run's id.
    """
    return f"{ui_endpoint.rstrip('/')}/#/runs/details/{run_id}"

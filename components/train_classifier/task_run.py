"""The MLflow run that Kubeflow Pipelines makes for a task, where its MLflow plugin is on, and tells it of."""

from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.environment_variables import MLFLOW_EXPERIMENT_ID, MLFLOW_RUN_ID, MLFLOW_TRACKING_URI

from components.settings import Settings


@dataclass(frozen=True)
class TaskRun:
    """Where a training's run goes.

    Attributes:
        experiment: Name of its experiment.
        parent_run_id: The task's run, or empty.
    """

    experiment: str
    parent_run_id: str

    @classmethod
    def of(cls, settings: Settings) -> "TaskRun":
        """Return what the environment tells of a task's run on the tracking server of the settings.

        The task's own run is not the training's: it ends with this try of the task, the training goes on in the next.

        Args:
            settings: Name the server, and the experiment if someone has chosen one.
        """
        own = settings.required("mlflow_tracking_uri")
        if MLFLOW_TRACKING_URI.get() != own:
            return cls(settings.required("experiment"), "")
        experiment = settings.required("experiment")
        injected = MLFLOW_EXPERIMENT_ID.get()
        if injected and "experiment" not in settings.model_fields_set:
            experiment = MlflowClient(own).get_experiment(injected).name
        return cls(experiment, MLFLOW_RUN_ID.get() or "")

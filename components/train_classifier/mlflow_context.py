"""The experiment and the parent of a training's MLflow run.

If the MLflow plugin of Kubeflow Pipelines is on, it creates an MLflow run for each task, and passes the run's id in the
environment.
"""

from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.environment_variables import MLFLOW_EXPERIMENT_ID, MLFLOW_RUN_ID, MLFLOW_TRACKING_URI

from components.settings import Settings


@dataclass(frozen=True)
class MLflowContext:
    """The experiment and the parent of a training's MLflow run.

    Attributes:
        experiment: Name of the experiment.
        parent_run_id: Id of the task's MLflow run; empty without one.
    """

    experiment: str
    parent_run_id: str

    @classmethod
    def of(cls, settings: Settings) -> "MLflowContext":
        """Return the context from the settings and the environment.

        The training needs an MLflow run of its own, because the task's run ends with the attempt, and the next attempt
        resumes the training. The task's run is ignored if it is on another server than the settings name.

        Args:
            settings: Settings with the tracking server and the experiment.
        """
        tracking_uri = settings.required("mlflow_tracking_uri")
        experiment = settings.required("experiment")
        if MLFLOW_TRACKING_URI.get() != tracking_uri:
            return cls(experiment, "")
        task_experiment_id = MLFLOW_EXPERIMENT_ID.get()
        if task_experiment_id and "experiment" not in settings.model_fields_set:
            experiment = MlflowClient(tracking_uri).get_experiment(task_experiment_id).name
        return cls(experiment, MLFLOW_RUN_ID.get() or "")

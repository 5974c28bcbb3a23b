"""The MLflow runs of trainings."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

from components.registry.pages import pages
from components.registry.tags import TRAINING_SET_ID_TAG
from components.settings import Settings


@dataclass(frozen=True)
class MLflowRun:
    """MLflow's record of a training.

    Attributes:
        run_id: Id of the run.
        name: Name of the run.
        experiment: Name of its experiment.
        status: MLflow's word, e.g. `FINISHED`.
        started: Start, in UTC.
        ended: End, in UTC; None while the run is open.
        parameters: Hyperparameters.
        metrics: Last value of each metric.
        tags: Tags, also MLflow's own, e.g. `mlflow.user`.
    """

    run_id: str
    name: str
    experiment: str
    status: str
    started: datetime | None
    ended: datetime | None
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]

    @property
    def training_set_id(self) -> str:
        """Id of the training set; empty if the run does not name one."""
        return self.tags.get(TRAINING_SET_ID_TAG, "")


class MLflowRuns:
    """The runs of trainings on an MLflow server or in an MLflow database.

    Args:
        tracking_uri: URI of the server, or of a database, e.g. `sqlite:///mlflow.db`.
    """

    def __init__(self, tracking_uri: str) -> None:
        self._client = MlflowClient(tracking_uri, tracking_uri)
        self._experiments: dict[str, str] = {}

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Open the server that the settings name.

        Raises:
            InputError: The settings name no MLflow server.
        """
        return cls(settings.required("mlflow_tracking_uri"))

    def find(self, run_id: str) -> MLflowRun | None:
        """Return a run by its id, or None if it does not exist."""
        try:
            return self._read(self._client.get_run(run_id))
        except MlflowException as error:
            if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
                raise
            return None

    def of_training_sets(self, training_set_ids: Collection[str]) -> list[MLflowRun]:
        """Return the runs that trained on some training sets, in all experiments, newest first.

        MLflow can't search for several values of a tag, so the pages of all trainings are read, one by one.
        """
        if not training_set_ids:
            return []
        experiments = [each.experiment_id for each in pages(self._client.search_experiments)]
        if not experiments:
            return []
        found = pages(self._client.search_runs, experiments, f"tags.`{TRAINING_SET_ID_TAG}` != ''")
        return [self._read(run) for run in found if run.data.tags[TRAINING_SET_ID_TAG] in training_set_ids]

    def _read(self, run: Any) -> MLflowRun:
        return MLflowRun(
            run.info.run_id,
            run.info.run_name or "",
            self._experiment(run.info.experiment_id),
            run.info.status,
            _time(run.info.start_time),
            _time(run.info.end_time),
            dict(run.data.params),
            dict(run.data.metrics),
            dict(run.data.tags),
        )

    def _experiment(self, experiment_id: str) -> str:
        if experiment_id not in self._experiments:
            self._experiments[experiment_id] = str(self._client.get_experiment(experiment_id).name)
        return self._experiments[experiment_id]


def _time(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)

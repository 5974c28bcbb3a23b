"""Versions and trainings in the model registry and in MLflow."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from components.errors import InputError
from components.registry.champion import read_succession
from components.registry.mlflow_runs import MLflowRuns
from components.registry.model_registry import CHALLENGER, CHAMPION, ModelRegistry, RegisteredVersion
from components.registry.tags import TRAINING_SET_ID_TAG
from components.settings import Settings
from components.succession import ModelVersion, Succession
from pipelines.trace.image import TrainedModel


@dataclass(frozen=True)
class RegisteredModel:
    """A registered model with all its versions.

    Attributes:
        succession: Versions whose predictions count.
        withdrawn: Versions that rollbacks withdrew.
        challenger: Version that was registered last; empty without one.
        versions: All versions.
        runs: MLflow runs of trainings.
    """

    succession: Succession
    withdrawn: tuple[str, ...]
    challenger: str
    versions: tuple[RegisteredVersion, ...]
    runs: MLflowRuns

    def role(self, version: str) -> str:
        """Return the role of a version, e.g. `champion`; empty without one."""
        numbers = [each.version for each in self.succession.versions]
        if numbers[:1] == [version]:
            return CHAMPION
        if version in self.withdrawn:
            return "withdrawn"
        if version in numbers:
            return "predecessor"
        return CHALLENGER if version == self.challenger else ""

    def withdrawn_versions(self) -> tuple[ModelVersion, ...]:
        """Return the existing versions that rollbacks withdrew, with their digests."""
        return tuple(
            ModelVersion(each.version, each.digest) for each in self.versions if each.version in self.withdrawn
        )

    def evaluated_digests(self) -> Mapping[str, str]:
        """Return the versions whose predictions of test images are read, by digest.

        These are the versions that count, and the challenger.
        """
        versions = [(each.digest, each.version) for each in self.succession.versions]
        versions += [(each.digest, each.version) for each in self.versions if each.version == self.challenger]
        return {digest: version for digest, version in versions if digest}

    def trained_on(self, training_set_ids: Sequence[str]) -> tuple[TrainedModel, ...]:
        """Return the trainings on some training sets, newest first.

        These include trainings without a registered model. Versions whose MLflow run is gone come last.
        """
        ids = set(training_set_ids)
        registered: dict[str, list[str]] = {}
        for version in self.versions:
            registered.setdefault(version.run_id, []).append(version.version)
        runs = self.runs.of_training_sets(ids)
        found = [
            TrainedModel(
                run.training_set_id, run.run_id, run.experiment, run.status, run.started, version, self.role(version)
            )
            for run in runs
            for version in registered.get(run.run_id, [""])
        ]
        existing = {run.run_id for run in runs}
        gone = [
            TrainedModel(
                each.tags[TRAINING_SET_ID_TAG], each.run_id, "", "", None, each.version, self.role(each.version)
            )
            for each in self.versions
            if each.run_id not in existing and each.tags.get(TRAINING_SET_ID_TAG) in ids
        ]
        return (*found, *gone)


def read_registered_model(settings: Settings) -> RegisteredModel | None:
    """Read the registered model of the settings; None if they name no MLflow server.

    The driver holds the versions, which are as many as trainings.

    Raises:
        InputError: The server can't be reached.
    """
    if not settings.mlflow_tracking_uri:
        return None
    with reachable(settings):
        registry = ModelRegistry.open(settings)
        champion, challenger = registry.champion(), registry.challenger()
        return RegisteredModel(
            read_succession(registry, champion),
            () if champion is None else tuple(registry.withdrawn()),
            challenger.version if challenger else "",
            tuple(registry.versions()),
            MLflowRuns.open(settings),
        )


@contextmanager
def reachable(settings: Settings) -> Iterator[None]:
    """Shorten an error of MLflow's server or of its database to one sentence.

    Raises:
        InputError: MLflow refuses the request or does not respond.
    """
    try:
        yield
    except (MlflowException, SQLAlchemyError) as error:
        kind = error.error_code if isinstance(error, MlflowException) else type(error).__name__
        raise InputError(
            f"mlflow_tracking_uri: '{settings.mlflow_tracking_uri}' can't be read ({kind}). Check the address and the"
            " server."
        ) from error

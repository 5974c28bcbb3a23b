"""Access to a registered model in MLflow: versions, aliases, tags and files."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    INVALID_PARAMETER_VALUE,
    NOT_FOUND,
    RESOURCE_ALREADY_EXISTS,
    RESOURCE_DOES_NOT_EXIST,
    ErrorCode,
)

from components.errors import InputError
from components.preprocessing.digest import SAVED_MODEL_FOLDER, folder_digest
from components.registry.pages import pages
from components.registry.tags import DIGEST_TAG
from components.settings import Settings

if TYPE_CHECKING:
    from components.preprocessing.classifier import Classifier

CHAMPION = "champion"
CHALLENGER = "challenger"

# Tag of the registered model, not of a version: the history of champions, oldest first, separated by spaces.
_CHAMPIONS_TAG = "champions"
# Tag of the registered model: former champions that rollbacks withdrew, separated by spaces.
_WITHDRAWN_TAG = "withdrawn"
_MODELS = "models:/"
_ABSENT = {ErrorCode.Name(code) for code in (RESOURCE_DOES_NOT_EXIST, NOT_FOUND)}


@dataclass(frozen=True)
class RegisteredVersion:
    """A version of the registered model.

    Attributes:
        name: Name of the registered model.
        version: Number of the version.
        run_id: MLflow run that trained the model.
        model_uri: URI `models:/<name>/<version>`.
        digest: SHA-256 of its SavedModel; empty for a version that register_model did not create.
        tags: Tags of the version.
        registered_at: Time of the registration, in UTC; None if unknown.
    """

    name: str
    version: str
    run_id: str
    model_uri: str
    digest: str
    tags: Mapping[str, str]
    registered_at: datetime | None = None


class ModelRegistry:
    """One registered model on an MLflow server or in an MLflow database.

    Attributes:
        model_name: Name of the registered model.

    Args:
        tracking_uri: URI of the MLflow server, or of a database, e.g. `sqlite:///mlflow.db`.
        model_name: Name of the registered model. The model need not exist yet.
    """

    def __init__(self, tracking_uri: str, model_name: str) -> None:
        self.model_name = model_name
        self._uri = tracking_uri
        self._client = MlflowClient(tracking_uri, tracking_uri)

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Open the registry and the model that the settings name.

        Raises:
            InputError: The settings name no MLflow server or no model.
        """
        return cls(settings.required("mlflow_tracking_uri"), settings.required("model_name"))

    def champion(self) -> RegisteredVersion | None:
        """Return the champion, or None if the model has none."""
        return self._with_alias(CHAMPION)

    def challenger(self) -> RegisteredVersion | None:
        """Return the version that was registered last, or None if the model has none."""
        return self._with_alias(CHALLENGER)

    def version(self, version: str) -> RegisteredVersion:
        """Return a version by its number.

        Raises:
            InputError: The version does not exist.
        """
        found = self.find(version)
        if found is None:
            raise InputError(
                f"version: '{self.model_name}' has no version '{version}'. Name a version that the MLflow UI lists."
            )
        return found

    def find(self, version: str) -> RegisteredVersion | None:
        """Return a version by its number, or None if it does not exist."""
        try:
            return _version(self._client.get_model_version(self.model_name, version))
        except MlflowException as error:
            if error.error_code not in _ABSENT:
                raise
            return None

    def versions(self) -> Iterator[RegisteredVersion]:
        """Yield all versions; none if the model is not registered. They are read page by page."""
        yield from map(_version, pages(self._client.search_model_versions, f"name = '{self.model_name}'"))

    def find_version(self, run_id: str, digest: str) -> RegisteredVersion | None:
        """Return the version of a run's model, or None if the model is not registered."""
        found = self._client.search_model_versions(f"run_id = '{run_id}'")
        versions = (_version(version) for version in found if version.name == self.model_name)
        return next((version for version in versions if version.digest == digest), None)

    def create_version(self, run_id: str, model_uri: str, tags: Mapping[str, str]) -> RegisteredVersion:
        """Register a logged model as a new version.

        Args:
            run_id: The MLflow run that logged the model.
            model_uri: URI of the logged model, `models:/m-...`.
            tags: Tags of the version, which MLflow stores together with it.

        Raises:
            InputError: The logged model does not exist.
        """
        location = self._location(model_uri)
        try:
            self._client.create_registered_model(self.model_name)
        except MlflowException as error:
            if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
                raise
        created = self._client.create_model_version(
            self.model_name, location, run_id, tags=dict(tags), model_id=model_uri.removeprefix(_MODELS)
        )
        return _version(created)

    def set_tags(self, version: str, tags: Mapping[str, str]) -> None:
        """Set tags of a version. Existing tags of the same names are overwritten."""
        for name, value in tags.items():
            self._client.set_model_version_tag(self.model_name, version, name, value)

    def set_alias(self, alias: str, version: str) -> None:
        """Point an alias at a version."""
        self._client.set_registered_model_alias(self.model_name, alias, version)

    def champions(self) -> list[str]:
        """Return the stored history of champions, oldest first."""
        return self._versions(_CHAMPIONS_TAG)

    def set_champions(self, versions: Sequence[str]) -> None:
        """Store the history of champions, oldest first."""
        self._set_versions(_CHAMPIONS_TAG, versions)

    def withdrawn(self) -> list[str]:
        """Return the stored list of withdrawn versions."""
        return self._versions(_WITHDRAWN_TAG)

    def set_withdrawn(self, versions: Sequence[str]) -> None:
        """Store the list of withdrawn versions."""
        self._set_versions(_WITHDRAWN_TAG, versions)

    def log_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        """Log metrics to an MLflow run."""
        for name, value in metrics.items():
            self._client.log_metric(run_id, name, value)

    def download(self, model_uri: str, digest: str, folder: Path) -> Path:
        """Download only the SavedModel of a model, and verify its digest.

        Args:
            model_uri: URI `models:/m-...` or `models:/<name>/<version>`.
            digest: Expected SHA-256 of the SavedModel.
            folder: Folder to download to.

        Returns:
            The SavedModel's folder.

        Raises:
            InputError: The model does not exist, the digest is empty, or the files have another digest.
        """
        if not digest:
            raise InputError(
                f"model_uri: '{model_uri}' has no digest, so its files can't be verified. Register the model with"
                " register_model."
            )
        saved_model = f"{self._location(model_uri)}/{SAVED_MODEL_FOLDER}"
        fetched = Path(download_artifacts(saved_model, dst_path=str(folder), tracking_uri=self._uri))
        found = folder_digest(fetched)
        if found != digest:
            raise InputError(
                f"model_uri: the files of '{model_uri}' differ from the registered ones (SHA-256 {found[:12]}...,"
                f" expected {digest[:12]}...). Restore the files, or train and register the model again."
            )
        return fetched

    def load(self, model_uri: str, digest: str) -> "Classifier":
        """Download a model, verify its digest and load it.

        Loading runs no Python code of the model, only its TensorFlow graph.

        Args:
            model_uri: URI `models:/m-...` or `models:/<name>/<version>`.
            digest: Expected SHA-256 of the SavedModel.

        Raises:
            InputError: The model does not exist, the digest is empty, or the files have another digest.
        """
        from components.preprocessing.classifier import Classifier

        with TemporaryDirectory() as folder:
            return Classifier.load(self.download(model_uri, digest, Path(folder)))

    def _versions(self, tag: str) -> list[str]:
        return str(self._client.get_registered_model(self.model_name).tags.get(tag, "")).split()

    def _set_versions(self, tag: str, versions: Sequence[str]) -> None:
        self._client.set_registered_model_tag(self.model_name, tag, " ".join(versions))

    def _with_alias(self, alias: str) -> RegisteredVersion | None:
        try:
            return _version(self._client.get_model_version_by_alias(self.model_name, alias))
        except MlflowException as error:
            # MLflow answers with INVALID_PARAMETER_VALUE if the registered model exists without the alias.
            if error.error_code not in {*_ABSENT, ErrorCode.Name(INVALID_PARAMETER_VALUE)}:
                raise
            return None

    def _location(self, model_uri: str) -> str:
        """Return the URI of a model's files.

        MLflow itself would resolve `models:/` URIs in the global registry of the process, which may be another one.

        Raises:
            InputError: The URI is invalid, or the model does not exist.
        """
        name, _, version = model_uri.removeprefix(_MODELS).partition("/")
        if not model_uri.startswith(_MODELS) or not name:
            raise InputError(
                f"model_uri: '{model_uri}' is not a model URI. Give models:/m-..., as train_classifier returns it."
            )
        try:
            if version:
                return str(self._client.get_model_version_download_uri(name, version)).rstrip("/")
            return str(self._client.get_logged_model(name).artifact_location).rstrip("/")
        except MlflowException as error:
            if error.error_code not in _ABSENT:
                raise
            raise InputError(
                f"model_uri: '{model_uri}' not found in the registry. Give the URI that train_classifier returned."
            ) from error


def registered_models(tracking_uri: str) -> list[str]:
    """Return the names of all registered models.

    Args:
        tracking_uri: URI of the MLflow server or database.
    """
    client = MlflowClient(tracking_uri, tracking_uri)
    return [model.name for model in pages(client.search_registered_models)]


def _version(found: Any) -> RegisteredVersion:
    return RegisteredVersion(
        name=found.name,
        version=str(found.version),
        run_id=found.run_id or "",
        model_uri=f"{_MODELS}{found.name}/{found.version}",
        digest=found.tags.get(DIGEST_TAG, ""),
        tags=dict(found.tags),
        registered_at=datetime.fromtimestamp(found.creation_timestamp / 1000, UTC),
    )

"""The model registry: versions of one model, their aliases and tags, and the one way to load them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from components.images.digest import SAVED_MODEL_FOLDER, folder_digest
from components.settings import Settings

if TYPE_CHECKING:
    from components.images.classifier import Classifier

CHAMPION = "champion"
CHALLENGER = "challenger"

DECISION_TAG = "decision"
REASON_TAG = "reason"
DECIDED_BY_TAG = "decided_by"
GATE_REASON_TAG = "gate.reason"
DIGEST_TAG = "model.digest"
TRAINING_SET_URI_TAG = "training_set.uri"
TRAINING_SET_ID_TAG = "training_set.id"
RUN_TAG = "run_id"
ACCURACY_TAG = "accuracy"
COMPARED_WITH_TAG = "compared_with"

# Of the registered model, not of a version: the champions so far, oldest first, in between blanks.
_CHAMPIONS_TAG = "champions"
_MODELS = "models:/"
_ABSENT = {ErrorCode.Name(code) for code in (RESOURCE_DOES_NOT_EXIST, NOT_FOUND)}


@dataclass(frozen=True)
class RegisteredVersion:
    """A version of the registered model.

    Attributes:
        name: The registered model.
        version: Number of the version.
        run_id: MLflow run that trained it.
        model_uri: `models:/<name>/<version>`.
        digest: SHA-256 of its SavedModel; empty for a version that register_model did not make.
        tags: What is written down about it.
    """

    name: str
    version: str
    run_id: str
    model_uri: str
    digest: str
    tags: Mapping[str, str]


class ModelRegistry:
    """One registered model of an MLflow server or database.

    Attributes:
        model_name: Name of the registered model.

    Args:
        tracking_uri: Where runs and models are: a server, or `sqlite:///...`.
        model_name: Name of the registered model. It need not exist.
    """

    def __init__(self, tracking_uri: str, model_name: str) -> None:
        self.model_name = model_name
        self._uri = tracking_uri
        self._client = MlflowClient(tracking_uri, tracking_uri)

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Return the registry of the settings.

        Raises:
            InputError: They name none.
        """
        return cls(settings.required("mlflow_tracking_uri"), settings.required("model_name"))

    def champion(self) -> RegisteredVersion | None:
        """Return the version that scores, or None if there is none yet."""
        return self._with_alias(CHAMPION)

    def challenger(self) -> RegisteredVersion | None:
        """Return the version that was registered last, or None if there is none yet."""
        return self._with_alias(CHALLENGER)

    def version(self, version: str) -> RegisteredVersion:
        """Return a version by its number.

        Raises:
            InputError: There is no such version.
        """
        try:
            return _version(self._client.get_model_version(self.model_name, version))
        except MlflowException as error:
            if error.error_code not in _ABSENT:
                raise
            raise InputError(
                f"version: '{self.model_name}' has no version '{version}'. Take one that the MLflow UI lists."
            ) from error

    def find_version(self, run_id: str, digest: str) -> RegisteredVersion | None:
        """Return the version of a run's model, or None if it is not registered."""
        found = self._client.search_model_versions(f"run_id = '{run_id}'")
        versions = (_version(each) for each in found if each.name == self.model_name)
        return next((each for each in versions if each.digest == digest), None)

    def create_version(self, run_id: str, model_uri: str, tags: Mapping[str, str]) -> RegisteredVersion:
        """Register a logged model as a new version.

        Args:
            run_id: The MLflow run that logged it.
            model_uri: The logged model, `models:/m-...`.
            tags: Tags of the version; they are there as soon as it is.

        Raises:
            InputError: There is no such model.
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
        """Write tags of a version, in place of those of the same names."""
        for name, value in tags.items():
            self._client.set_model_version_tag(self.model_name, version, name, value)

    def set_alias(self, alias: str, version: str) -> None:
        """Let an alias name a version."""
        self._client.set_registered_model_alias(self.model_name, alias, version)

    def champions(self) -> list[str]:
        """Return the versions that `set_champions` wrote down last; empty if it was never called."""
        tags = self._client.get_registered_model(self.model_name).tags
        return str(tags.get(_CHAMPIONS_TAG, "")).split()

    def set_champions(self, versions: Sequence[str]) -> None:
        """Write down which versions were the champion so far, oldest first."""
        self._client.set_registered_model_tag(self.model_name, _CHAMPIONS_TAG, " ".join(versions))

    def log_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        """Write metrics of a run."""
        for name, value in metrics.items():
            self._client.log_metric(run_id, name, value)

    def download(self, model_uri: str, digest: str, folder: Path) -> Path:
        """Fetch a model's SavedModel, and nothing else of the model, if its digest is the one expected.

        Args:
            model_uri: `models:/m-...` or `models:/<name>/<version>`.
            digest: Expected SHA-256 of the SavedModel.
            folder: Where to.

        Returns:
            The SavedModel's folder.

        Raises:
            InputError: There is no such model, or its files are not those that were registered.
        """
        if not digest:
            raise InputError(
                f"model_uri: no digest is known of '{model_uri}', so its files can't be checked."
                " Register it by register_model."
            )
        saved_model = f"{self._location(model_uri)}/{SAVED_MODEL_FOLDER}"
        fetched = Path(download_artifacts(saved_model, dst_path=str(folder), tracking_uri=self._uri))
        found = folder_digest(fetched)
        if found != digest:
            raise InputError(
                f"model_uri: the files of '{model_uri}' are not those that were registered (SHA-256 {found[:12]}...,"
                f" expected {digest[:12]}...). Restore them, or train and register the model again."
            )
        return fetched

    def load(self, model_uri: str, digest: str) -> "Classifier":
        """Load a model as `download` fetches it. No code that came with the model is run but its TensorFlow graph.

        Args:
            model_uri: `models:/m-...` or `models:/<name>/<version>`.
            digest: Expected SHA-256 of the SavedModel.

        Raises:
            InputError: There is no such model, or its files are not those that were registered.
        """
        from components.images.classifier import Classifier

        with TemporaryDirectory() as folder:
            return Classifier.load(self.download(model_uri, digest, Path(folder)))

    def _with_alias(self, alias: str) -> RegisteredVersion | None:
        try:
            return _version(self._client.get_model_version_by_alias(self.model_name, alias))
        except MlflowException as error:
            # A registered model without the alias is told by the second code.
            if error.error_code not in {*_ABSENT, ErrorCode.Name(INVALID_PARAMETER_VALUE)}:
                raise
            return None

    def _location(self, model_uri: str) -> str:
        """Return where a model's files are. MLflow's own way looks them up in the process' global registry."""
        name, _, version = model_uri.removeprefix(_MODELS).partition("/")
        if not model_uri.startswith(_MODELS) or not name:
            raise InputError(f"model_uri: '{model_uri}' is none. Give models:/m-... as train_classifier returned it.")
        try:
            if version:
                return str(self._client.get_model_version_download_uri(name, version)).rstrip("/")
            return str(self._client.get_logged_model(name).artifact_location).rstrip("/")
        except MlflowException as error:
            if error.error_code not in _ABSENT:
                raise
            raise InputError(
                f"model_uri: the registry does not know '{model_uri}'. Give the URI that train_classifier returned."
            ) from error


def _version(found: Any) -> RegisteredVersion:
    return RegisteredVersion(
        name=found.name,
        version=str(found.version),
        run_id=found.run_id or "",
        model_uri=f"{_MODELS}{found.name}/{found.version}",
        digest=found.tags.get(DIGEST_TAG, ""),
        tags=dict(found.tags),
    )

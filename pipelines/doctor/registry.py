"""MLflow, the champion and its history."""

from collections.abc import Iterator
from pathlib import Path

import mlflow
import requests

from components.errors import InputError, TransientError
from components.registry.champion import is_champion_recorded, require_champion
from components.registry.model_registry import ModelRegistry
from components.registry.tags import TRAINING_SET_URI_TAG
from components.storage import uri
from pipelines.doctor.context import Context
from pipelines.doctor.finding import Finding, Level, error, of_sentences, ok, warning

_TIMEOUTS_SECONDS = (5, 20)
_DATABASE = "sqlite:///"


def check_registry(context: Context) -> Iterator[Finding]:
    """Yield findings about the registry and the model that the settings name."""
    address = context.settings.required("mlflow_tracking_uri")
    if uri.is_http_url(address):
        # MLflow's client would retry for minutes.
        yield from server(address)
    if address.startswith(_DATABASE) and not Path(address.removeprefix(_DATABASE).partition("?")[0]).exists():
        # MLflow's client would create it.
        yield warning(
            f"mlflow_tracking_uri: database '{address}' does not exist yet.",
            "Run the training pipeline, or correct the URI.",
        )
        return
    registry = ModelRegistry.open(context.settings)
    try:
        champion = require_champion(registry)
    except InputError as exception:
        yield of_sentences(str(exception), Level.WARNING)
        return
    yield ok(f"model_name: version {champion.version} of '{champion.name}' is the champion.")
    if not champion.digest:
        yield error(
            f"model_name: version {champion.version} has no digest, so scoring can't verify its files.",
            "Register the model with register_model, or promote another version.",
        )
    if not is_champion_recorded(registry):
        yield warning(
            f"model_name: the alias of version {champion.version} was moved outside of the pipelines, or a promotion"
            " was interrupted.",
            "Nothing, if the version is right: the next scoring run records it. Otherwise promote another version.",
        )
    training_set = champion.tags.get(TRAINING_SET_URI_TAG, "")
    if training_set and not context.files.exists(training_set):
        yield error(
            f"training_set: '{training_set}' of version {champion.version} is gone, so imports fail.",
            "Restore the folder, or run the pipeline training and promote its model.",
        )


def server(address: str) -> Iterator[Finding]:
    """Yield findings about an MLflow server.

    Args:
        address: URL of the server.

    Raises:
        InputError: The server refuses access, or something else is at this URL.
        TransientError: The server does not respond, or fails.
    """
    try:
        health = requests.get(f"{address.rstrip('/')}/health", timeout=_TIMEOUTS_SECONDS)
        version = requests.get(f"{address.rstrip('/')}/version", timeout=_TIMEOUTS_SECONDS).text.strip()
    except requests.exceptions.RequestException as exception:
        raise TransientError(
            f"mlflow_tracking_uri: '{address}' does not respond ({type(exception).__name__}). Check that the server is"
            " up, the URL and the network."
        ) from exception
    if health.status_code >= requests.codes.internal_server_error:
        raise TransientError(
            f"mlflow_tracking_uri: '{address}' fails ({health.status_code}). Check the server's log, and its database."
        )
    if health.status_code in (requests.codes.unauthorized, requests.codes.forbidden):
        raise InputError(
            f"mlflow_tracking_uri: '{address}' refuses access ({health.status_code}). Add the host to"
            " MLFLOW_SERVER_ALLOWED_HOSTS of the server, or check the login that a proxy requires."
        )
    if health.status_code != requests.codes.ok:
        raise InputError(
            f"mlflow_tracking_uri: '{address}' is no MLflow server ({health.status_code}). Correct the URL."
        )
    if _major(version) != _major(mlflow.__version__):
        yield warning(
            f"mlflow_tracking_uri: the server has version {version[:20]}, but the client has {mlflow.__version__}.",
            "Use a server of the same major version.",
        )
    yield ok(f"mlflow_tracking_uri: '{address}' responds.")


def _major(version: str) -> str:
    return version.partition(".")[0]

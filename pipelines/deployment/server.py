"""Requests to the Kubeflow Pipelines server through KFP's client, with one-sentence errors."""

import contextlib
import io
import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import kfp
import urllib3
from kfp_server_api import ApiException

from components.errors import InputError
from components.pipeline_run import run_page
from pipelines.deployment.server_settings import ServerSettings

# The server's largest page.
_PAGE = 200
# KFP's client sets no timeout.
_CONNECT_SECONDS, _READ_SECONDS = 5, 30
_EQUALS = 1
_REQUEST_ERRORS = (ApiException, urllib3.exceptions.HTTPError)
_FORWARD = "kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80"


class _Client(kfp.Client):  # type: ignore[misc]  # kfp ships no types
    """KFP's client without its five attempts to reach a server, which log a stack trace each."""

    def get_kfp_healthz(self, sleep_duration: int = 0) -> Any:
        try:
            health, _, headers = self._healthz_api.healthz_service_get_healthz_with_http_info(
                _request_timeout=(_CONNECT_SECONDS, _READ_SECONDS)
            )
        except ApiException as error:
            if error.status not in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED):
                raise
            raise InputError(
                f"endpoint: {self.url} does not serve API v2beta1 ({error.status}). Use a Kubeflow Pipelines server of"
                " version 2.17 or later."
            ) from error
        if "json" not in headers.get("Content-Type", ""):
            raise InputError(
                f"endpoint: {self.url} responds with a web page, e.g. a login, instead of the Kubeflow Pipelines API."
                f" Set KF_PIPELINES_TOKEN, or use http://localhost:8080 after {_FORWARD}."
            )
        return health

    @property
    def url(self) -> str:
        return str(self._healthz_api.api_client.configuration.host)


class Server:
    """The requests that the commands need. All names are display names.

    Attributes:
        url: URL of the server.
    """

    def __init__(self, client: _Client, namespace: str | None) -> None:
        self.url = client.url
        self._client = client
        self._namespace = namespace

    def find_pipeline(self, name: str) -> Any | None:
        """Return the pipeline with a name, or None."""
        return self._named(self._client.list_pipelines, "pipelines", name, namespace=self._namespace)

    def create_pipeline(self, name: str, description: str) -> Any:
        """Create a pipeline without a version."""
        # The client's method would also create a first version with the pipeline's name. Our versions are named by
        # content.
        body = self._client.api_models.V2beta1Pipeline(
            name=name, display_name=name, description=description, namespace=self._namespace
        )
        return self._client.pipelines.pipeline_service_create_pipeline(pipeline=body)

    def find_version(self, pipeline_id: str, name: str) -> Any | None:
        """Return the version of a pipeline with a name, or None."""
        return self._named(self._client.list_pipeline_versions, "pipeline_versions", name, pipeline_id=pipeline_id)

    def version_name(self, pipeline_id: str, version_id: str) -> str:
        """Return the name of a version, or its id if the version was deleted."""
        try:
            return str(self._client.get_pipeline_version(pipeline_id, version_id).display_name)
        except ApiException as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            return version_id

    def add_version(self, pipeline_id: str, name: str, compiled: Path, description: str) -> Any:
        """Upload a compiled file as a version of a pipeline."""
        with contextlib.redirect_stdout(io.StringIO()):
            return self._client.upload_pipeline_version(
                str(compiled), pipeline_version_name=name, pipeline_id=pipeline_id, description=description
            )

    def experiment(self, name: str) -> Any:
        """Return the experiment with a name, and create it if it does not exist.

        Raises:
            InputError: The experiment is archived, so it can't have runs.
        """
        with contextlib.redirect_stdout(io.StringIO()):
            experiment = self._client.create_experiment(name, namespace=self._namespace)
        if experiment.storage_state == "ARCHIVED":
            raise InputError(f"experiment: '{name}' is archived. Restore it in the UI, or use another experiment.")
        return experiment

    def experiment_name(self, experiment_id: str) -> str:
        """Return the name of an experiment."""
        return str(self._client.get_experiment(experiment_id).display_name)

    def recurring_runs(self) -> list[Any]:
        """Return all recurring runs, oldest first."""
        return list(
            self._pages(
                self._client.list_recurring_runs, "recurring_runs", sort_by="created_at", namespace=self._namespace
            )
        )

    def create_recurring_run(self, experiment_id: str, name: str, **options: Any) -> Any:
        """Create a recurring run, with the options of the client's method of this name."""
        return self._client.create_recurring_run(experiment_id, name, **options)

    def set_enabled(self, recurring_run_id: str, enabled: bool) -> None:
        """Enable or disable a recurring run."""
        if enabled:
            self._client.enable_recurring_run(recurring_run_id)
        else:
            self._client.disable_recurring_run(recurring_run_id)

    def delete_recurring_run(self, recurring_run_id: str) -> None:
        """Delete a recurring run if it exists. Its active runs continue."""
        try:
            # The client's method would also delete its active runs.
            self._client.recurring_runs.recurring_run_service_delete_recurring_run(
                recurring_run_id=recurring_run_id, propagation_policy="ORPHAN"
            )
        except ApiException as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise

    def start_run(self, experiment_id: str, name: str, **options: Any) -> Any:
        """Start a run, with the options of the client's `run_pipeline`."""
        with contextlib.redirect_stdout(io.StringIO()):
            return self._client.run_pipeline(experiment_id, name, **options)

    def run(self, run_id: str) -> Any:
        """Return a run."""
        return self._client.get_run(run_id)

    def workflow(self, run_id: str) -> dict[str, Any]:
        """Return Argo's workflow of a run, with the state of each pod; {} if not available."""
        try:
            found = json.loads(self._get("/apis/v1beta1/runs/{run_id}", run_id=run_id))
            workflow = json.loads(found["pipeline_runtime"]["workflow_manifest"])
        except (*_REQUEST_ERRORS, ValueError, KeyError, TypeError):
            return {}
        return workflow if isinstance(workflow, dict) else {}

    def log(self, run_id: str, pod: str) -> str:
        """Return the log of a run's pod; empty if not available, e.g. because the pod was deleted."""
        try:
            return self._get("/apis/v1alpha1/runs/{run_id}/nodes/{pod}/log", run_id=run_id, pod=pod)
        except _REQUEST_ERRORS:
            return ""

    def _get(self, path: str, **parts: str) -> str:
        """Return the response of an API that KFP's client does not cover."""
        client = self._client._healthz_api.api_client
        response = client.call_api(
            path,
            "GET",
            path_params=parts,
            auth_settings=["Bearer"],
            _return_http_data_only=True,
            _preload_content=False,
            _request_timeout=(_CONNECT_SECONDS, _READ_SECONDS),
        )
        return str(response.data.decode(errors="replace"))

    def run_page(self, run_id: str) -> str:
        """Return the URL of a run's page in the UI."""
        return run_page(self._client._get_url_prefix(), run_id)

    def _named(self, list_page: Callable[..., Any], field: str, name: str, **options: Any) -> Any | None:
        predicate = {"operation": _EQUALS, "key": "display_name", "stringValue": name}
        found = self._pages(list_page, field, filter=json.dumps({"predicates": [predicate]}), **options)
        return next((each for each in found if each.display_name == name), None)

    def _pages(self, list_page: Callable[..., Any], field: str, **options: Any) -> Iterator[Any]:
        token = ""
        while True:
            page = list_page(page_token=token, page_size=_PAGE, **options)
            # The server omits an empty list.
            yield from getattr(page, field) or []
            token = page.next_page_token or ""
            if not token:
                return


@contextmanager
def connected(settings: ServerSettings) -> Iterator[Server]:
    """Connect to the server, and turn errors of all requests into one sentence.

    Raises:
        InputError: The server can't be reached or is not Kubeflow Pipelines 2, the user has no access, or the server
            refused a request.
    """
    with _one_sentence_errors(settings):
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            client = _Client(
                host=settings.endpoint or None,
                namespace=settings.server_namespace,
                existing_token=settings.token.get_secret_value() if settings.token else None,
                credentials=_credentials(settings),
                ssl_ca_cert=str(settings.ssl_ca_cert) if settings.ssl_ca_cert else None,
                ui_host=settings.ui_endpoint or None,
            )
            multi_user = client.get_kfp_healthz().multi_user
        namespace = (settings.namespace or client.get_user_namespace()) if multi_user else None
        if multi_user and not namespace:
            raise InputError(
                f"namespace: not set, but {client.url} has several users. Set KF_PIPELINES_NAMESPACE to the namespace"
                " of your profile."
            )
        yield Server(client, namespace)


def _credentials(settings: ServerSettings) -> Any | None:
    if settings.sa_token_path is None:
        return None
    return kfp.client.ServiceAccountTokenVolumeCredentials(str(settings.sa_token_path))


@contextmanager
def _one_sentence_errors(settings: ServerSettings) -> Iterator[None]:
    where = settings.endpoint or "the server of the cluster"
    try:
        yield
    except urllib3.exceptions.HTTPError as error:
        raise InputError(
            f"endpoint: {where} can't be reached. Set KF_PIPELINES_ENDPOINT or --endpoint to the server's URL, e.g."
            f" http://localhost:8080 after {_FORWARD}."
        ) from error
    except ApiException as error:
        raise InputError(_sentence(where, error)) from error


def _sentence(where: str, error: ApiException) -> str:
    message = _message(error)
    if error.status == HTTPStatus.UNAUTHORIZED:
        return (
            f"endpoint: {where} requires a login (401: {message}). Set KF_PIPELINES_TOKEN to a token, or"
            " KF_PIPELINES_SA_TOKEN_PATH to a file with a token."
        )
    if error.status == HTTPStatus.FORBIDDEN:
        return (
            f"endpoint: {where} denied access (403: {message}). Ask for the permission, or set KF_PIPELINES_NAMESPACE"
            " to a namespace of yours."
        )
    if not error.status:
        return (
            f"endpoint: certificate of {where} not trusted ({message}). Set KF_PIPELINES_SSL_CA_CERT to a file with its"
            " issuer's certificate."
        )
    return f"endpoint: {where} refused a request ({error.status}: {message}). Fix the cause, and run the command again."


def _message(error: ApiException) -> str:
    """Return the server's message on one line."""
    if not error.status:
        return " ".join(str(error.reason).split())
    try:
        body = json.loads(error.body or "")
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return str(error.reason)
    message = next((body[key] for key in ("message", "error_message", "error") if body.get(key)), error.reason)
    return " ".join(str(message).split())

"""The server of Kubeflow Pipelines, by KFP's own client, with one sentence for each way in which it fails."""

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
from pipelines.deployment.server_settings import ServerSettings

# The most that the server gives at once.
_PAGE = 200
# The client sets no time limit of its own; whether there is a server is known sooner.
_CONNECT_SECONDS, _READ_SECONDS = 5, 30
_EQUALS = 1
_FORWARD = "kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80"


class _Client(kfp.Client):  # type: ignore[misc]  # kfp ships no types
    """KFP's client, that does not ask a dead server five times, with a stack trace each, before it says so."""

    def get_kfp_healthz(self, sleep_duration: int = 0) -> Any:
        try:
            health, _, headers = self._healthz_api.healthz_service_get_healthz_with_http_info(
                _request_timeout=(_CONNECT_SECONDS, _READ_SECONDS)
            )
        except ApiException as error:
            if error.status not in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED):
                raise
            raise InputError(
                f"endpoint: {self.url} has no API v2beta1 ({error.status}), so it is older than Kubeflow Pipelines 2,"
                " or something else. Name a server of version 2.17 or later."
            ) from error
        if "json" not in headers.get("Content-Type", ""):
            raise InputError(
                f"endpoint: {self.url} answers with a page for people, such as a login, not as Kubeflow Pipelines'"
                " API. Set KF_PIPELINES_TOKEN, or forward a port of the cluster and name that:"
                f" {_FORWARD}."
            )
        return health

    @property
    def url(self) -> str:
        return str(self._healthz_api.api_client.configuration.host)


class Server:
    """What the commands need of the server. All names are display names.

    Attributes:
        url: Its URL.
    """

    def __init__(self, client: _Client, namespace: str | None) -> None:
        self.url = client.url
        self._client = client
        self._namespace = namespace

    def find_pipeline(self, name: str) -> Any | None:
        """Return the pipeline of a name, or None."""
        return self._named(self._client.list_pipelines, "pipelines", name, namespace=self._namespace)

    def create_pipeline(self, name: str, description: str) -> Any:
        """Make a pipeline that has no version yet."""
        # The client's own way names the first version like the pipeline; ours are named by their content.
        body = self._client.api_models.V2beta1Pipeline(
            name=name, display_name=name, description=description, namespace=self._namespace
        )
        return self._client.pipelines.pipeline_service_create_pipeline(pipeline=body)

    def find_version(self, pipeline_id: str, name: str) -> Any | None:
        """Return the version of a name of a pipeline, or None."""
        return self._named(self._client.list_pipeline_versions, "pipeline_versions", name, pipeline_id=pipeline_id)

    def version_name(self, pipeline_id: str, version_id: str) -> str:
        """Return the name of a version, or its id if it is gone."""
        try:
            return str(self._client.get_pipeline_version(pipeline_id, version_id).display_name)
        except ApiException as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            return version_id

    def add_version(self, pipeline_id: str, name: str, compiled: Path, description: str) -> Any:
        """Add a version to a pipeline, made of a compiled file."""
        with contextlib.redirect_stdout(io.StringIO()):
            return self._client.upload_pipeline_version(
                str(compiled), pipeline_version_name=name, pipeline_id=pipeline_id, description=description
            )

    def experiment(self, name: str) -> Any:
        """Return the experiment of a name; it is made if there is none.

        Raises:
            InputError: It is archived, so that nothing runs in it.
        """
        with contextlib.redirect_stdout(io.StringIO()):
            experiment = self._client.create_experiment(name, namespace=self._namespace)
        if experiment.storage_state == "ARCHIVED":
            raise InputError(f"experiment: '{name}' is archived. Restore it in the UI, or name another one.")
        return experiment

    def experiment_name(self, experiment_id: str) -> str:
        """Return the name of an experiment."""
        return str(self._client.get_experiment(experiment_id).display_name)

    def recurring_runs(self) -> list[Any]:
        """Return all recurring runs, whoever made them, the oldest first."""
        return list(
            self._pages(
                self._client.list_recurring_runs, "recurring_runs", sort_by="created_at", namespace=self._namespace
            )
        )

    def create_recurring_run(self, experiment_id: str, name: str, **options: Any) -> Any:
        """Make a recurring run, with the options of the client's method of that name."""
        return self._client.create_recurring_run(experiment_id, name, **options)

    def set_enabled(self, recurring_run_id: str, enabled: bool) -> None:
        """Enable or disable a recurring run."""
        if enabled:
            self._client.enable_recurring_run(recurring_run_id)
        else:
            self._client.disable_recurring_run(recurring_run_id)

    def delete_recurring_run(self, recurring_run_id: str) -> None:
        """Delete a recurring run, and leave what it started running; one that is gone already is no error."""
        try:
            # Deleting it in the client's own way takes the runs with it that are at work.
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

    def link(self, path: str) -> str:
        """Return the URL of a page of the UI, as in `runs/details/ID`."""
        return f"{self._client._get_url_prefix()}/#/{path}"

    def _named(self, list_page: Callable[..., Any], field: str, name: str, **options: Any) -> Any | None:
        predicate = {"operation": _EQUALS, "key": "display_name", "stringValue": name}
        found = self._pages(list_page, field, filter=json.dumps({"predicates": [predicate]}), **options)
        return next((each for each in found if each.display_name == name), None)

    def _pages(self, list_page: Callable[..., Any], field: str, **options: Any) -> Iterator[Any]:
        token = ""
        while True:
            page = list_page(page_token=token, page_size=_PAGE, **options)
            # An empty list may be left out of the answer.
            yield from getattr(page, field) or []
            token = page.next_page_token or ""
            if not token:
                return


@contextmanager
def connected(settings: ServerSettings) -> Iterator[Server]:
    """Connect to the server, and tell in one sentence if that, or what is done inside, fails.

    Raises:
        InputError: The server can't be reached, is none of Kubeflow Pipelines 2, does not know or let the user, or
            refused a request.
    """
    with _told(settings):
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
                f"namespace: {client.url} has several users, so it has to know whose this is. Set"
                " KF_PIPELINES_NAMESPACE to the namespace of your profile."
            )
        yield Server(client, namespace)


def _credentials(settings: ServerSettings) -> Any | None:
    if settings.sa_token_path is None:
        return None
    return kfp.client.ServiceAccountTokenVolumeCredentials(str(settings.sa_token_path))


@contextmanager
def _told(settings: ServerSettings) -> Iterator[None]:
    where = settings.endpoint or "the server of the cluster"
    try:
        yield
    except urllib3.exceptions.HTTPError as error:
        raise InputError(
            f"endpoint: {where} can't be reached. Set KF_PIPELINES_ENDPOINT or --endpoint to the server's URL, as in"
            f" http://localhost:8080 after {_FORWARD}."
        ) from error
    except ApiException as error:
        raise InputError(_sentence(where, error)) from error


def _sentence(where: str, error: ApiException) -> str:
    message = _message(error)
    if error.status == HTTPStatus.UNAUTHORIZED:
        return (
            f"endpoint: {where} does not know you (401: {message}). Set KF_PIPELINES_TOKEN to a token, or"
            " KF_PIPELINES_SA_TOKEN_PATH to the file of one."
        )
    if error.status == HTTPStatus.FORBIDDEN:
        return (
            f"endpoint: {where} does not let you do this (403: {message}). Ask for the right, or set"
            " KF_PIPELINES_NAMESPACE to a namespace of yours."
        )
    if not error.status:
        return (
            f"endpoint: no trust in the certificate of {where} ({message}). Set KF_PIPELINES_SSL_CA_CERT to the file"
            " with its issuer's."
        )
    return f"endpoint: {where} refused a request ({error.status}: {message}). Mend what it names, and run this again."


def _message(error: ApiException) -> str:
    """Return what the server says in its own words, on one line."""
    if not error.status:
        return " ".join(str(error.reason).split())
    try:
        body = json.loads(error.body or "")
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return str(error.reason)
    said = next((body[key] for key in ("message", "error_message", "error") if body.get(key)), error.reason)
    return " ".join(str(said).split())

"""Transient errors, with real errors that the libraries raise."""

import errno
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import azure.core.exceptions
import botocore.exceptions
import pytest
import requests
import urllib3
from gcsfs.retry import HttpError
from google.api_core.exceptions import Forbidden, InvalidArgument, RetryError, ServiceUnavailable, TooManyRequests
from google.auth.exceptions import DefaultCredentialsError, RefreshError, TransportError
from kubernetes import client
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from py4j.protocol import Py4JError, Py4JNetworkError
from s3fs.errors import translate_boto_error

from components.errors import InputError, TransientError
from components.lock import LockLost
from components.transient import is_transient


def closed_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def raised(call: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception) as error:  # noqa: PT011 - the error is what is tested
        call()
    return error.value


def s3_error(status: int, code: str) -> botocore.exceptions.ClientError:
    response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return botocore.exceptions.ClientError(response, "PutObject")


def azure_error(status: int) -> azure.core.exceptions.HttpResponseError:
    error = azure.core.exceptions.HttpResponseError("said the server")
    error.status_code = status
    return error


def made(kind: Any, *arguments: Any) -> Exception:
    """Return an error of Google's clients, whose constructors have no types."""
    error: Exception = kind(*arguments)
    return error


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], str]]:
    """Return a function that starts a server with one status for every request, and returns its URL."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    servers: list[HTTPServer] = []

    def start(status: int) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


# What Spark says if its client of the Kubernetes API fails.
SCHEDULER = (
    "An error occurred while calling None.org.apache.spark.api.java.JavaSparkContext.\n"
    ": org.apache.spark.SparkException: External scheduler cannot be instantiated\n"
    "Caused by: io.fabric8.kubernetes.client.KubernetesClientException"
)


@pytest.mark.parametrize(
    "error",
    [
        TransientError("away."),
        LockLost("lost."),
        ConnectionResetError(),
        OSError(errno.EHOSTUNREACH, "No route to host"),
        socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
        client.ApiException(status=503),
        client.ApiException(status=429),
        azure.core.exceptions.ServiceRequestError("refused"),
        azure.core.exceptions.ServiceResponseTimeoutError("no answer"),
        azure_error(500),
        botocore.exceptions.EndpointConnectionError(endpoint_url="http://s3"),
        botocore.exceptions.ReadTimeoutError(endpoint_url="http://s3"),
        s3_error(503, "SlowDown"),
        s3_error(400, "RequestTimeout"),
        translate_boto_error(s3_error(500, "InternalError")),
        made(ServiceUnavailable, "no connection"),
        made(TooManyRequests, "slow down"),
        made(RetryError, "no answer in 60 s", None),
        HttpError({"code": 503, "message": "backend error"}),
        # The metadata server of a new pod.
        caused(
            HttpError({"code": 401, "message": "Invalid Credentials"}), caused(made(RefreshError), made(TransportError))
        ),
        Py4JNetworkError("Answer from Java side is empty"),
        Py4JError("An error occurred while calling o41.count"),
        Py4JError("org.apache.spark.sql.classic.SparkSession does not exist in the JVM"),
        Py4JError("An error occurred while calling o41.load. Trace:\nCaused by: java.net.ConnectException: refused"),
        Py4JError("Job 3 canceled because SparkContext was shut down"),
        Py4JError(
            "An error occurred while calling o41.load. Trace:\nCaused by: com.google.cloud.hadoop.repackaged.gcs.com"
            ".google.api.client.googleapis.json.GoogleJsonResponseException: 503 Service Unavailable"
        ),
        Py4JError(
            f"{SCHEDULER}: Operation: [get]  for kind: [Pod]  failed.\nCaused by: java.net.UnknownHostException: k8s"
        ),
        Py4JError(f"{SCHEDULER}\n\tat io.fabric8\nCaused by: java.util.concurrent.TimeoutException"),
        Py4JError(
            f"{SCHEDULER}: Failure executing: POST at: https://k8s/pods. Received status: Status(code=503, details)"
        ),
        caused(ValueError("a bug?"), ConnectionRefusedError()),
    ],
    ids=repr,
)
def test_an_error_of_a_server_or_connection_is_transient(error: Exception) -> None:
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        InputError("bad."),
        caused(InputError("bad."), ConnectionRefusedError()),
        TimeoutError("the lock is held."),
        ValueError("a bug"),
        FileNotFoundError(errno.ENOENT, "nothing there"),
        OSError(errno.ENOSPC, "No space left on device"),
        MemoryError(),
        socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
        caused(botocore.exceptions.EndpointConnectionError(endpoint_url="http://s4"), socket.gaierror(-2, "not known")),
        caused(urllib3.exceptions.MaxRetryError(None, "/"), ssl.SSLCertVerificationError("self-signed")),  # type: ignore[arg-type]
        botocore.exceptions.SSLError(endpoint_url="https://s3", error=ValueError("untrusted")),
        botocore.exceptions.NoCredentialsError(),
        made(Forbidden, "no access"),
        made(InvalidArgument, "bad request"),
        HttpError({"code": 403, "message": "no access"}),
        HttpError({"code": 401, "message": "Invalid Credentials"}),
        made(DefaultCredentialsError, "no credentials"),
        botocore.exceptions.ParamValidationError(report="bucket"),
        client.ApiException(status=403),
        client.ApiException(status=404),
        azure_error(403),
        azure_error(501),
        azure.core.exceptions.ClientAuthenticationError("who?"),
        s3_error(403, "AccessDenied"),
        translate_boto_error(s3_error(404, "NoSuchKey")),
        MlflowException("a client's own error, of no other code"),
        Py4JError("An error occurred while calling o41.load. Trace:\njava.lang.IllegalArgumentException: no"),
        Py4JError(
            f"{SCHEDULER}: Failure executing: POST at: https://k8s/pods. Received status: Status(code=403, details)"
        ),
        Py4JError("Trace:\ncomponents.errors.InputError: no access.\n\tjava.net.SocketException: Connection reset"),
    ],
    ids=repr,
)
def test_bad_input_a_bug_or_a_rejection_is_not_transient(error: Exception) -> None:
    assert not is_transient(error)


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_an_error_status_of_an_mlflow_server_is_transient(answering: Callable[[int], str], status: int) -> None:
    mlflow = MlflowClient(answering(status))

    assert is_transient(raised(lambda: mlflow.get_run("1")))


# A proxy may respond with the last three. MLflow has no code for them, and calls them internal errors.
@pytest.mark.parametrize("status", [403, 405, 413, 415])
def test_a_rejection_by_an_mlflow_server_is_not_transient(answering: Callable[[int], str], status: int) -> None:
    mlflow = MlflowClient(answering(status))

    assert not is_transient(raised(lambda: mlflow.get_run("1")))


def test_an_unreachable_server_is_transient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    url = f"http://127.0.0.1:{closed_port()}"

    assert is_transient(raised(lambda: MlflowClient(url).get_run("1")))
    assert is_transient(raised(lambda: requests.get(url, timeout=1)))
    assert is_transient(raised(lambda: urllib3.PoolManager(retries=0).request("GET", url)))
    configuration = client.Configuration(host=url)
    configuration.retries = 0
    assert is_transient(raised(lambda: client.CoreV1Api(client.ApiClient(configuration)).list_namespace()))


def test_an_unknown_host_is_not_transient(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    error = raised(lambda: requests.get("http://no-such-host.invalid", timeout=5))

    assert not is_transient(error)


def test_the_search_ends_in_a_circle_of_causes() -> None:
    error, cause = ValueError("a"), ValueError("b")
    error.__cause__, cause.__cause__ = cause, error

    assert not is_transient(error)

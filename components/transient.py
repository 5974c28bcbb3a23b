"""The closed list of transient errors: if one occurs, a retry of the step may succeed.

The list contains failed connections, timeouts, responses with the status 408, 429 or 5xx, commits that lost a race, and
a lost JVM. It names the classes instead of importing them: the libraries that define them are heavy, and a task loads
few.
"""

import errno
import re
import socket
import ssl
from collections.abc import Iterator

from components.errors import InputError, TransientError

_CONNECTION_ERRNOS = {
    errno.ECONNABORTED,
    errno.ECONNREFUSED,
    errno.ECONNRESET,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.EPIPE,
    errno.ETIMEDOUT,
}
# Subclasses count, too.
_TYPES = {
    "aiohttp.client_exceptions.ClientConnectionError",
    "aiohttp.client_exceptions.ClientPayloadError",
    "azure.core.exceptions.IncompleteReadError",
    "azure.core.exceptions.ServiceRequestError",
    "azure.core.exceptions.ServiceResponseError",
    "botocore.exceptions.ConnectionError",
    "botocore.exceptions.HTTPClientError",
    "botocore.exceptions.IncompleteReadError",
    "delta.exceptions.base.ConcurrentAppendException",
    "delta.exceptions.base.ConcurrentDeleteDeleteException",
    "delta.exceptions.base.ConcurrentDeleteReadException",
    "delta.exceptions.base.ConcurrentTransactionException",
    "delta.exceptions.base.ConcurrentWriteException",
    "delta.exceptions.base.DeltaConcurrentModificationException",
    "delta.exceptions.base.MetadataChangedException",
    "fsspec.exceptions.FSTimeoutError",
    "google.api_core.exceptions.RetryError",
    "google.auth.exceptions.TransportError",
    "http.client.IncompleteRead",
    "py4j.protocol.Py4JNetworkError",
    "requests.exceptions.ChunkedEncodingError",
    "requests.exceptions.ConnectionError",
    "requests.exceptions.RetryError",
    "requests.exceptions.Timeout",
    "urllib3.exceptions.IncompleteRead",
    "urllib3.exceptions.MaxRetryError",
    "urllib3.exceptions.ProtocolError",
    "urllib3.exceptions.TimeoutError",
}
# Codes of transient errors that S3 sends with the status 400.
_S3_CODES = {"RequestTimeout", "Throttling", "ThrottlingException"}
_MLFLOW_CODES = {"DEADLINE_EXCEEDED", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED", "TEMPORARILY_UNAVAILABLE"}
_MLFLOW_STATUS = re.compile(r"API request to endpoint \S+ failed with error code (\d+) != ")
# Spark passes on exceptions of Java and of Python workers as text.
_SPARK_TEXT = re.compile(
    r"java\.net\.(?:ConnectException|NoRouteToHostException|SocketException|SocketTimeoutException)"
    r"|java\.net\.UnknownHostException: .*Temporary failure in name resolution"
    r"|org\.apache\.hadoop\.net\.ConnectTimeoutException"
    r"|org\.apache\.hadoop\.fs\.s3a\.AWS(?:ApiCallTimeout|NoResponse|ServiceThrottled|Status500)Exception"
    r"|software\.amazon\.awssdk\.\S+Exception: .*Status Code: (?:429|50[0234])\b"
    r"|googleapis\.json\.GoogleJsonResponseException: (?:429|50[0234])\b"
    r"|AbfsRestOperationException: Operation failed: \"[^\"]*\", (?:429|50[0234]),"
    r"|components\.errors\.TransientError: "
    # Spark's client of the Kubernetes API: no answer in time, no connection, or an overloaded server.
    r"|KubernetesClientException(?:\n|: Operation: \[)"
    r"|KubernetesClientException: Failure executing: .*\bcode=(?:429|50[0234])\b"
    # py4j's message if the JVM ends during a call. After the message of a Java exception comes its trace.
    r"|\AAn error occurred while calling \S+\Z"
    r"|\A\S+ does not exist in the JVM\Z"
    r"|SparkContext was shut down"
    r"|Cannot call methods on a stopped SparkContext"
)


def is_transient_status(status: int | None) -> bool:
    """Return whether an HTTP status means an overloaded or failing server, not a bad request."""
    return status in (408, 429) or (status is not None and 500 <= status < 600 and status != 501)


def is_transient(error: BaseException) -> bool:
    """Return whether an error or one of its causes is transient.

    Bad input is never transient, whatever its cause. Neither is an unknown host name or an untrusted certificate.

    Args:
        error: The error with its causes.
    """
    chain = list(causes(error))
    for cause in chain:
        if isinstance(cause, TransientError):
            return True
        if isinstance(cause, InputError | ssl.SSLCertVerificationError) or _is_unknown_host(cause):
            return False
    return any(_is_listed(cause) for cause in chain)


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, its cause, the cause of its cause, and so on."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        # Azure's errors hold their cause in an attribute of their own.
        inner = cause.__cause__ or getattr(cause, "inner_exception", None)
        cause = inner or (None if cause.__suppress_context__ else cause.__context__)


def _is_unknown_host(error: BaseException) -> bool:
    return isinstance(error, socket.gaierror) and error.errno != socket.EAI_AGAIN


def _is_listed(error: BaseException) -> bool:
    if isinstance(error, ConnectionError | socket.gaierror):
        return True
    if isinstance(error, OSError) and error.errno in _CONNECTION_ERRNOS:
        return True
    names = {f"{cls.__module__}.{cls.__qualname__}" for cls in type(error).__mro__}
    if names & _TYPES:
        return "botocore.exceptions.SSLError" not in names
    if names & {"py4j.protocol.Py4JError", "pyspark.errors.exceptions.base.PySparkException"}:
        text = error_text(error)
        return "components.errors.InputError: " not in text and bool(_SPARK_TEXT.search(text))
    if "mlflow.exceptions.MlflowException" in names:
        return _is_listed_mlflow_error(error, names)
    return _is_listed_status(error, names)


def _is_listed_status(error: BaseException, names: set[str]) -> bool:
    if names & {"kubernetes.client.exceptions.ApiException", "kubernetes.client.exceptions.OpenApiException"}:
        return is_transient_status(getattr(error, "status", None))
    if "azure.core.exceptions.HttpResponseError" in names:
        return is_transient_status(getattr(error, "status_code", None))
    if "botocore.exceptions.ClientError" in names:
        response = getattr(error, "response", {})
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return is_transient_status(status) or response.get("Error", {}).get("Code") in _S3_CODES
    if names & {"google.api_core.exceptions.GoogleAPICallError", "gcsfs.retry.HttpError"}:
        return is_transient_status(getattr(error, "code", None))
    if "requests.exceptions.HTTPError" in names:
        return is_transient_status(getattr(getattr(error, "response", None), "status_code", None))
    if "urllib.error.HTTPError" in names:
        return is_transient_status(getattr(error, "code", None))
    return False


def _is_listed_mlflow_error(error: BaseException, names: set[str]) -> bool:
    # A proxy's response is not JSON. MLflow maps its status to a code, and a status without a code to INTERNAL_ERROR.
    if response := _MLFLOW_STATUS.match(str(error)):
        return is_transient_status(int(response[1]))
    code = getattr(error, "error_code", "")
    # MLflow's client uses INTERNAL_ERROR for its own errors, too.
    is_from_server = "mlflow.exceptions.RestException" in names
    return code in _MLFLOW_CODES or (code == "INTERNAL_ERROR" and is_from_server)


def error_text(error: BaseException) -> str:
    """Return the message of an error."""
    try:
        # py4j asks the JVM for the message of a Java exception, which fails if the JVM is gone.
        text = str(error)
    except Exception:
        text = str(error.args[0]) if error.args else ""
    return text

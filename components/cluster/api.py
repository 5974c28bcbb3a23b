"""The Kubernetes API: a client, and calls that are retried."""

from collections.abc import Callable
from typing import Any, TypeVar

import urllib3
from kubernetes import client, config
from kubernetes.config.config_exception import ConfigException
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential

from components.errors import InputError
from components.transient import is_transient_status

# Maximum duration of the retries of a call. A restart of the API server or a change of its leader takes less.
RETRY_SECONDS = 300

# Timeouts of connecting and of reading, in seconds.
TIMEOUTS_SECONDS = (5, 30)

Result = TypeVar("Result")


def api_client() -> client.ApiClient:
    """Return a client of this pod's cluster, or else of the cluster in KUBECONFIG.

    Raises:
        InputError: This process is not in a pod, and KUBECONFIG names no cluster.
    """
    configuration = client.Configuration()
    try:
        config.load_incluster_config(configuration)
    except ConfigException:
        try:
            config.load_kube_config(client_configuration=configuration)
        except ConfigException as error:
            raise InputError(
                f"KUBECONFIG: no cluster found ({error}). Run this in a pod, or set KUBECONFIG to a configuration file."
            ) from error
    return client.ApiClient(configuration)


def call_with_retries(call: Callable[..., Result], *arguments: Any, **named: Any) -> Result:
    """Call the API, and retry for five minutes while it is unreachable or overloaded.

    Args:
        call: Method of a Kubernetes client.
        *arguments: Positional arguments of the method.
        **named: Keyword arguments of the method.

    Raises:
        ApiException: The API rejects the call.
        urllib3.exceptions.HTTPError: The API is unreachable.
    """
    retrying = Retrying(
        retry=retry_if_exception(is_transient_error),
        stop=stop_after_delay(RETRY_SECONDS),
        wait=wait_exponential(multiplier=0.25, max=5),
        reraise=True,
    )
    return retrying(call, *arguments, _request_timeout=TIMEOUTS_SECONDS, **named)


def is_transient_error(error: BaseException) -> bool:
    """Return whether the connection or the server caused an error, not the request."""
    if isinstance(error, client.ApiException):
        return is_transient_status(error.status)
    return isinstance(error, urllib3.exceptions.HTTPError | OSError)

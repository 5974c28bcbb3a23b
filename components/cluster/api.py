"""The Kubernetes API: whose it is, and patience with it."""

from collections.abc import Callable
from typing import Any, TypeVar

import urllib3
from kubernetes import client, config
from kubernetes.config.config_exception import ConfigException
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential

from components.errors import InputError

# An API server that is restarted, or whose leader changes, is back within these.
PATIENCE_SECONDS = 300

# To connect, and to answer.
TIMEOUTS_SECONDS = (5, 30)

_PASSING = (429, 500, 502, 503, 504)

Result = TypeVar("Result")


def api_client() -> client.ApiClient:
    """Return a client of the cluster that this pod runs in, or of the one that KUBECONFIG names.

    Raises:
        InputError: There is neither.
    """
    configuration = client.Configuration()
    try:
        config.load_incluster_config(configuration)
    except ConfigException:
        try:
            config.load_kube_config(client_configuration=configuration)
        except ConfigException as error:
            raise InputError(
                f"KUBECONFIG: no cluster to be reached ({error}). Run this in a pod, or name a configuration."
            ) from error
    return client.ApiClient(configuration)


def patiently(call: Callable[..., Result], *arguments: Any, **named: Any) -> Result:
    """Call the API, and again while it can't be reached or says that it is busy.

    Args:
        call: A method of a Kubernetes client.
        *arguments: Its arguments.
        **named: Likewise.

    Raises:
        ApiException: It refuses.
        urllib3.exceptions.HTTPError: It can't be reached for minutes.
    """
    retrying = Retrying(
        retry=retry_if_exception(is_passing),
        stop=stop_after_delay(PATIENCE_SECONDS),
        wait=wait_exponential(multiplier=0.25, max=5),
        reraise=True,
    )
    return retrying(call, *arguments, _request_timeout=TIMEOUTS_SECONDS, **named)


def is_passing(error: BaseException) -> bool:
    """Return whether an error is about the connection or the server's state, and not about what was asked."""
    if isinstance(error, client.ApiException):
        return error.status in _PASSING
    return isinstance(error, urllib3.exceptions.HTTPError | OSError)

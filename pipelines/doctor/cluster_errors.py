"""Turn errors of the Kubernetes API into one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

import urllib3
from kubernetes import client

from components.cluster.api import is_transient_error
from components.errors import InputError, TransientError


@contextmanager
def cluster_errors(subject: str) -> Iterator[None]:
    """Turn errors of calls in this block into an `InputError` or a `TransientError`.

    Args:
        subject: What the calls read, for the message, e.g. `nodes`.
    """
    try:
        yield
    except client.ApiException as error:
        if error.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise InputError(
                f"{subject}: the account of this process may not access it ({error.status}). Grant the permission, or"
                " run the doctor with another account."
            ) from error
        kind = TransientError if is_transient_error(error) else InputError
        raise kind(
            f"{subject}: the cluster's API server responded with {error.status} {error.reason}. Fix the cause, then run"
            " the doctor again."
        ) from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise TransientError(
            f"{subject}: the cluster's API server does not respond ({type(error).__name__}). Check KUBECONFIG and the"
            " network."
        ) from error

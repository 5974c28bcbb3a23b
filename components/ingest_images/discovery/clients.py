"""Clients of the stores and queues, with the access of the settings."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from azure.core.credentials import AzureNamedKeyCredential, TokenCredential
from azure.core.exceptions import AzureError
from azure.identity import DefaultAzureCredential, WorkloadIdentityCredential
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from requests.exceptions import RequestException

from components.errors import InputError, TransientError
from components.storage.access import Access
from components.storage.google_errors import google_errors
from components.transient import is_transient

_MISSING_CONTAINERS = ("NoSuchBucket", "ContainerNotFound")
# Google has no code of its own for a missing bucket.
_GOOGLE_BUCKET = "bucket does not exist"
# SQS sends them with the status 400.
_MISSING_QUEUES = ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue")


def aws_client(service: str, access: Access, **options: Any) -> Any:
    """Return a client of S3 or SQS, which threads may share.

    Args:
        service: Name of the service, e.g. `s3`.
        access: Address and credentials.
        **options: Arguments of the client that replace those of the access.
    """
    configured = access.options("s3a")
    arguments: dict[str, Any] = {
        "endpoint_url": configured.get("endpoint_url"),
        "aws_access_key_id": configured.get("key"),
        "aws_secret_access_key": configured.get("secret"),
        "config": Config(**configured["config_kwargs"], max_pool_connections=32),
        **configured.get("client_kwargs", {}),
        **options,
    }
    # A session of its own: the default one may not be shared by threads while it makes a client.
    return boto3.session.Session().client(service, **arguments)


def azure_credential(account: str, access: Access) -> AzureNamedKeyCredential | TokenCredential:
    """Return the credential of a storage account.

    Args:
        account: Name of the account.
        access: Key or workload identity.
    """
    if access.azure_account_key:
        return AzureNamedKeyCredential(account, access.azure_account_key.get_secret_value())
    if access.azure_client_id:
        return WorkloadIdentityCredential(
            tenant_id=access.azure_tenant_id,
            client_id=access.azure_client_id,
            token_file_path=access.azure_token_file,
        )
    return DefaultAzureCredential()


@contextmanager
def client_errors(field: str, address: str, advice: str) -> Iterator[None]:
    """Convert a client's errors into `InputError` and `TransientError`.

    Args:
        field: Parameter that contains the address.
        address: Address of the folder or queue.
        advice: What to check if access is refused, without a full stop.
    """
    try:
        yield
    except (ClientError, BotoCoreError, AzureError, RequestException, *google_errors()) as error:
        if is_transient(error):
            raise TransientError(
                f"{field}: '{address}' does not answer ({_code(error)}). Check that it is up, the network, and"
                f" the settings of its store."
            ) from error
        if _status(error) in (401, 403):
            raise InputError(f"{field}: access to '{address}' is refused ({_code(error)}). {advice}.") from error
        if _status(error) == 404 or _code(error) in _MISSING_QUEUES:
            raise InputError(f"{field}: '{address}' not found ({_code(error)}). Create it, or correct it.") from error
        raise InputError(f"{field}: the request to '{address}' failed ({_code(error)}). {advice}.") from error


def is_missing(error: Exception) -> bool:
    """Return whether an error means that the object does not exist."""
    return _status(error) == 404 and _code(error) not in _MISSING_CONTAINERS and _GOOGLE_BUCKET not in str(error)


def is_changed(error: Exception) -> bool:
    """Return whether an error means that the object is not the expected version."""
    return _status(error) in (409, 412)


def _status(error: Exception) -> int | None:
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return None if status is None else int(status)
    status = getattr(error, "status_code", None) or getattr(error, "code", None)
    return int(status) if isinstance(status, int) else None


def _code(error: Exception) -> str:
    """Return the service's name of an error, e.g. `NoSuchBucket`."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", type(error).__name__))
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or type(error).__name__)

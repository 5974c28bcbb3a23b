"""An Azure Blob container as destination."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from mimetypes import guess_type
from typing import ClassVar, Self
from urllib.parse import quote, unquote, urlsplit

from azure.core.exceptions import AzureError, HttpResponseError
from azure.storage.blob import BlobServiceClient, ContainerClient, ContentSettings, ExponentialRetry, StorageErrorCode
from pydantic import SecretStr

from components.errors import InputError
from components.export_for_labeling.destinations.destination import Destination
from components.settings import ENVIRONMENT_PREFIX

_RETRIES = ExponentialRetry(initial_backoff=1, increment_base=2, retry_total=4)
_SETTING = "azure_storage_connection_string"
_CONTAINER = re.compile(r"(?=.{3,63}$)[a-z0-9](-?[a-z0-9])*")


@dataclass(frozen=True)
class AzureBlob(Destination):
    """A folder in an Azure Blob container.

    Attributes:
        uri: The container's URL and the folder in it.
        container: Name of the container.
        folder: The folder in it, `/` at its end; empty for the container itself.
        connection_string: Access to the storage account.
    """

    service: ClassVar[str] = "azure_blob"

    container: str
    folder: str
    connection_string: SecretStr

    @classmethod
    def parse(cls, url: str, connection_string: SecretStr | None) -> Self:
        """Return the destination that a URL names, in the account of the connection string.

        Args:
            url: `https://<account>.blob.core.windows.net/<container>[/<folder>]`, or the same below whatever endpoint
                the connection string names.
            connection_string: Access to the storage account.

        Raises:
            InputError: The URL names no container of that account, or there is no connection string.
        """
        bare = re.split("[?#]", url, maxsplit=1)[0]
        if bare != url:
            # What follows may be a signature, which is a secret.
            raise InputError(
                f"destination: '{bare}' is followed by a query. Leave that out, and put the access into {_SETTING}."
            )
        if connection_string is None:
            raise InputError(
                f"destination: '{url}' can't be reached without {_SETTING}. Set {ENVIRONMENT_PREFIX}{_SETTING.upper()}"
                " in the environment; identities in place of it are not supported yet."
            )
        endpoint = _endpoint(connection_string)
        if not bare.lower().startswith(f"{endpoint.lower()}/"):
            raise InputError(
                f"destination: '{url}' is not in the storage account of {_SETTING}, '{endpoint}'. Correct one of them."
            )
        container, *folders = [unquote(part) for part in bare[len(endpoint) + 1 :].split("/") if part] or [""]
        if not _CONTAINER.fullmatch(container) or {".", ".."} & set(folders):
            raise InputError(f"destination: '{url}' names no container. Use {endpoint}/<container>/<folder>.")
        folder = "".join(f"{each}/" for each in folders)
        address = f"{endpoint}/{container}/{quote(folder)}".rstrip("/")
        return cls(address, container, folder, connection_string)

    def check(self) -> None:  # noqa: D102 - the interface's
        # Asks for what any access that suffices can be asked: a signature may not reach the container itself.
        self.exists("manifest.jsonl")

    def exists(self, name: str) -> bool:  # noqa: D102
        with self._explained():
            try:
                self._client.get_blob_client(self.folder + name).get_blob_properties()
            except HttpResponseError as error:
                if error.status_code != 404 or _code(error) == StorageErrorCode.CONTAINER_NOT_FOUND:
                    raise
                return False
            return True

    def write(self, name: str, content: bytes) -> None:  # noqa: D102
        # Tools for labelling show a blob by its type.
        kind = ContentSettings(content_type=guess_type(name)[0] or "application/octet-stream")
        with self._explained():
            self._client.upload_blob(self.folder + name, content, overwrite=True, content_settings=kind)

    @property
    def _client(self) -> ContainerClient:
        return _client(self.connection_string.get_secret_value(), self.container)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except AzureError as error:
            # Without what it came from: that may hold the URL of a request with its signature.
            raise InputError(f"destination: {self._explain(error)}") from None

    def _explain(self, error: AzureError) -> str:
        if not isinstance(error, HttpResponseError) or error.status_code is None:
            return f"'{self.uri}' can't be reached ({type(error).__name__}). Check the URL, {_SETTING} and the network."
        code = _code(error) or error.status_code
        if error.status_code in (401, 403):
            return f"access to '{self.uri}' is refused ({code}). Let {_SETTING} grant reading and writing blobs there."
        if error.status_code == 404:
            return f"no container '{self.container}' for '{self.uri}'. Make it, or correct the URL."
        return f"'{self.uri}' answers {code}. Check the URL, or run this step again."


def _code(error: HttpResponseError) -> str:
    """Return what Azure calls an error, as in `ContainerNotFound`; empty if the answer did not say."""
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or "")


def _endpoint(connection_string: SecretStr) -> str:
    try:
        client = BlobServiceClient.from_connection_string(connection_string.get_secret_value())
    except ValueError:
        raise InputError(f"{_SETTING}: malformed. Copy it from the access keys of the storage account.") from None
    parts = urlsplit(client.primary_endpoint)
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")


@lru_cache(maxsize=1)
def _client(connection_string: str, container: str) -> ContainerClient:
    """Return the client, which keeps its connections open from one blob to the next."""
    return ContainerClient.from_connection_string(connection_string, container, retry_policy=_RETRIES)

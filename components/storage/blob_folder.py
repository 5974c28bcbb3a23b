"""A folder in an Azure Blob container, such as the store of a labeling service."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from mimetypes import guess_type
from pathlib import Path
from typing import ClassVar, Self
from urllib.parse import quote, unquote, urlsplit

from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.identity import WorkloadIdentityCredential
from azure.storage.blob import (
    BlobProperties,
    BlobServiceClient,
    ContainerClient,
    ContentSettings,
    ExponentialRetry,
    StorageErrorCode,
)
from pydantic import SecretStr

from components.errors import InputError, TransientError
from components.settings import ENVIRONMENT_PREFIX, Settings
from components.storage.folder import Folder
from components.storage.stores import FileStatus
from components.transient import is_transient

# Pauses of 3, 5, 9 and 17 seconds: the last attempt comes half a minute after the first, as long as a server takes to
# restart. By default, refused connections are retried less often than failed responses.
_RETRIES = ExponentialRetry(initial_backoff=1, increment_base=2, retry_total=4, retry_connect=4, random_jitter_range=1)
_CONNECTION_STRING = "azure_storage_connection_string"
_CLIENT_ID = "azure_client_id"
_CONTAINER = re.compile(r"(?=.{3,63}$)[a-z0-9](-?[a-z0-9])*")
# An identity's token opens every account of the identity: only Azure's own hosts may receive it.
_AZURE = re.compile(
    r"https://[a-z0-9-]+(\.z\d+)?\.blob\."
    r"(core\.windows\.net|core\.usgovcloudapi\.net|core\.chinacloudapi\.cn|storage\.azure\.net)"
)
# Metadata travel as headers: printable ASCII, and HTTP trims spaces at both ends.
_READABLE = "!#$&'()*+,/:;=?@[]"


@dataclass(frozen=True)
class ConnectionString:
    """Access by a key or a signature.

    Attributes:
        value: The storage account's connection string.
    """

    value: SecretStr

    @property
    def advice(self) -> str:
        """Start of the sentence that advises on refused access."""
        return f"Let {_CONNECTION_STRING} grant"

    def container(self, name: str) -> ContainerClient:
        """Return a client of a container."""
        return ContainerClient.from_connection_string(self.value.get_secret_value(), name, retry_policy=_RETRIES)


@dataclass(frozen=True)
class WorkloadIdentity:
    """Access by the identity of the task's pod.

    Attributes:
        endpoint: URL of the storage account.
        client_id: Client id of the identity.
        tenant_id: Tenant id of the identity.
        token_file: File of the token that the cluster mounts into the pod.
    """

    endpoint: str
    client_id: str
    tenant_id: str
    token_file: str

    @property
    def advice(self) -> str:
        """Start of the sentence that advises on refused access."""
        return f"Grant the identity '{self.client_id}' the role Storage Blob Data Contributor, which allows"

    def container(self, name: str) -> ContainerClient:
        """Return a client of a container."""
        credential = WorkloadIdentityCredential(
            tenant_id=self.tenant_id, client_id=self.client_id, token_file_path=self.token_file
        )
        return ContainerClient(self.endpoint, name, credential=credential, retry_policy=_RETRIES)


@dataclass(frozen=True)
class BlobFolder(Folder):
    """A folder in an Azure Blob container.

    A write never replaces a blob, because people may be labeling it.

    Attributes:
        container: Name of the container.
        folder: Name of the folder in the container, with `/` at its end; empty for the whole container.
        access: Credentials of the storage account.
    """

    kind: ClassVar[str] = "azure_blob"

    container: str
    folder: str
    access: ConnectionString | WorkloadIdentity

    @classmethod
    def parse(cls, url: str, field: str, settings: Settings) -> Self:
        """Return the folder that a URL names.

        Args:
            url: `https://<account>.blob.core.windows.net/<container>[/<folder>]`, or the same below the endpoint of the
                connection string.
            field: The parameter or setting that has the URL.
            settings: Hold the connection string, or else the workload identity.

        Raises:
            InputError: The URL does not name a container of an account that the settings give access to.
        """
        bare = re.split("[?#]", url, maxsplit=1)[0]
        if bare != url:
            # What follows may be a signature, which is a secret.
            raise InputError(
                f"{field}: '{bare}' is followed by a query. Remove the query, and put the access into"
                f" {_CONNECTION_STRING}."
            )
        access = _access(bare, field, settings)
        endpoint = access.endpoint if isinstance(access, WorkloadIdentity) else _endpoint(access)
        if not bare.lower().startswith(f"{endpoint.lower()}/"):
            raise InputError(
                f"{field}: '{url}' is not in the storage account of {_CONNECTION_STRING}, '{endpoint}'. Correct one of"
                " them."
            )
        container, *folders = [unquote(name) for name in bare[len(endpoint) + 1 :].split("/") if name] or [""]
        if not _CONTAINER.fullmatch(container) or {".", ".."} & set(folders):
            raise InputError(f"{field}: '{url}' does not name a container. Use {endpoint}/<container>/<folder>.")
        folder = "".join(f"{name}/" for name in folders)
        return cls(field, f"{endpoint}/{container}/{quote(folder)}".rstrip("/"), container, folder, access)

    def check(self) -> None:  # noqa: D102 - described by Folder, here and below
        # Any sufficient access can ask for a blob. A signature may not reach the container itself.
        self.status("check")

    def status(self, name: str) -> FileStatus | None:  # noqa: D102
        with self._errors("reading"):
            try:
                return _status(self._client.get_blob_client(self.folder + name).get_blob_properties())
            except HttpResponseError as error:
                if error.status_code != 404 or _code(error) == StorageErrorCode.CONTAINER_NOT_FOUND:
                    raise
        return None

    def find(self) -> dict[str, FileStatus]:  # noqa: D102
        with self._errors("listing and reading"):
            found = self._client.list_blobs(name_starts_with=self.folder or None)
            return {blob.name.removeprefix(self.folder): _status(blob) for blob in found}

    def read(self, name: str) -> bytes:  # noqa: D102 - checked by the blob's MD5 if it has one
        with self._errors("reading"):
            try:
                return self._client.download_blob(self.folder + name).readall()
            except HttpResponseError as error:
                if _code(error) == StorageErrorCode.BLOB_NOT_FOUND:
                    raise FileNotFoundError(name) from None
                raise

    def write(self, name: str, content: bytes, metadata: Mapping[str, str]) -> None:
        """Write a new blob with its MD5, whole or not at all. Idempotent.

        Args:
            name: Its name below the folder.
            content: Its bytes.
            metadata: Percent-encoded where a header can't hold it; empty values are left out.

        Raises:
            InputError: A blob of this name has another content, or access is refused.
        """
        digest = hashlib.md5(content, usedforsecurity=False).digest()
        blob = self._client.get_blob_client(self.folder + name)
        with self._errors("reading and writing"):
            try:
                blob.upload_blob(
                    content,
                    overwrite=False,
                    # Checks the upload. The MD5 in the content settings stays with the blob, for its readers.
                    validate_content=True,
                    metadata={key: quote(value, safe=_READABLE) for key, value in metadata.items() if value},
                    content_settings=ContentSettings(
                        # Tools for labeling show a blob by its type.
                        content_type=guess_type(name)[0] or "application/octet-stream",
                        content_md5=bytearray(digest),
                    ),
                )
            except ResourceExistsError:
                # An earlier run wrote it, or an attempt whose response was lost.
                stored = blob.get_blob_properties().content_settings.content_md5
                if stored is None or bytes(stored) != digest:
                    raise InputError(
                        f"{self.field}: '{self.uri}/{quote(name)}' exists with another content, and blobs are never"
                        " replaced. Delete or rename it."
                    ) from None

    def remove(self, name: str) -> bool:  # noqa: D102
        with self._errors("deleting"):
            try:
                # By default, a blob with snapshots can't be deleted.
                self._client.delete_blob(f"{self.folder}{name}", delete_snapshots="include")
            except ResourceNotFoundError:
                return False
        return True

    @property
    def _client(self) -> ContainerClient:
        return _client(self.access, self.container)

    @contextmanager
    def _errors(self, right: str) -> Iterator[None]:
        try:
            yield
        except AzureError as error:
            # Without its cause, which may hold the URL of a request with its signature.
            kind = TransientError if is_transient(error) else InputError
            raise kind(f"{self.field}: {self._explain(error, right)}") from None

    def _explain(self, error: AzureError, right: str) -> str:
        if not isinstance(error, HttpResponseError) or error.status_code is None:
            settings = _CONNECTION_STRING if isinstance(self.access, ConnectionString) else _CLIENT_ID
            return f"'{self.uri}' can't be reached ({type(error).__name__}). Check the URL, {settings} and the network."
        code = _code(error) or error.status_code
        if error.status_code in (401, 403):
            return f"access to '{self.uri}' is refused ({code}). {self.access.advice} {right} blobs there."
        if error.status_code == 404:
            return f"container '{self.container}' of '{self.uri}' not found. Create it, or correct the URL."
        return f"'{self.uri}' responded with {code}. Check the URL, or run this step again."


def _access(url: str, field: str, settings: Settings) -> ConnectionString | WorkloadIdentity:
    if settings.azure_storage_connection_string is not None:
        return ConnectionString(settings.azure_storage_connection_string)
    if not settings.azure_client_id:
        raise InputError(
            f"{field}: '{url}' needs {_CONNECTION_STRING} or {_CLIENT_ID}. Set one of them, e.g."
            f" {ENVIRONMENT_PREFIX}{_CONNECTION_STRING.upper()}, or give the task's pod a workload identity."
        )
    host = _AZURE.match(url.lower())
    if host is None or url[host.end() :][:1] not in ("", "/"):
        raise InputError(
            f"{field}: '{url}' is not a URL of Azure, and only Azure may receive an identity's token. Use"
            f" https://<account>.blob.core.windows.net/<container>/<folder>, or set {_CONNECTION_STRING}."
        )
    if not Path(settings.azure_token_file).exists():
        raise InputError(
            f"azure_token_file: file '{settings.azure_token_file}' not found, so the pod has no workload identity."
            f" Label the task's pod azure.workload.identity/use, or set {_CONNECTION_STRING}."
        )
    return WorkloadIdentity(
        host[0], settings.azure_client_id, settings.required("azure_tenant_id"), settings.azure_token_file
    )


def _status(blob: BlobProperties) -> FileStatus:
    return FileStatus(blob.size, blob.last_modified, blob.etag)


def _code(error: HttpResponseError) -> str:
    """Return Azure's name of an error, e.g. `ContainerNotFound`; empty without one."""
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or "")


def _endpoint(access: ConnectionString) -> str:
    try:
        client = BlobServiceClient.from_connection_string(access.value.get_secret_value())
    except ValueError:
        raise InputError(
            f"{_CONNECTION_STRING}: malformed. Copy it from the access keys of the storage account."
        ) from None
    parts = urlsplit(client.primary_endpoint)
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")


@lru_cache(maxsize=1)
def _client(access: ConnectionString | WorkloadIdentity, container: str) -> ContainerClient:
    """Return a client that keeps its connections open between blobs."""
    return access.container(container)

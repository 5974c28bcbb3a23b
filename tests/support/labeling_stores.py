"""The stores in which images and annotations are exchanged with people in tests. Its suite passes in each of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pytest
from azure.storage.blob import BlobServiceClient
from pydantic import SecretStr

from components.settings import Settings
from components.storage.folder import Folder
from components.storage.open_folder import open_folder
from tests.support.servers import Azurite, GcsServer, S3Server


@dataclass(frozen=True)
class LabelingStore:
    """An empty folder in a running store.

    Attributes:
        address: URI or URL of the folder.
        settings: Settings with the access to it.
    """

    address: str
    settings: Settings

    def folder(self, name: str = "") -> Folder:
        """Return a folder in it; by default, the folder itself."""
        return open_folder(f"{self.address}/{name}", "destination", self.settings)

    def put(self, name: str, content: bytes) -> None:
        """Write or replace a file, as a labeling service does."""
        folder = self.folder()
        # The export never replaces blobs.
        folder.remove(name)
        folder.write(name, content, {})


def _s3(request: pytest.FixtureRequest, bucket: str) -> LabelingStore:
    server: S3Server = request.getfixturevalue("s3")
    server.make_bucket(bucket)
    key, secret = SecretStr(server.access_key), SecretStr(server.secret_key)
    return LabelingStore(
        f"s3a://{bucket}/exchange", Settings(s3_endpoint=server.url, s3_access_key=key, s3_secret_key=secret)
    )


def _azure(request: pytest.FixtureRequest, name: str) -> LabelingStore:
    azurite: Azurite = request.getfixturevalue("azurite")
    BlobServiceClient.from_connection_string(azurite.connection_string).create_container(name)
    connection = SecretStr(azurite.connection_string)
    return LabelingStore(f"{azurite.blob_url}/{name}/exchange", Settings(azure_storage_connection_string=connection))


def _google(request: pytest.FixtureRequest, bucket: str) -> LabelingStore:
    server: GcsServer = request.getfixturevalue("gcs")
    server.make_bucket(bucket)
    return LabelingStore(f"gs://{bucket}/exchange", Settings(gcs_endpoint=server.url))


# The function takes the name of a new bucket or container.
LABELING_STORES: Mapping[str, Callable[[pytest.FixtureRequest, str], LabelingStore]] = MappingProxyType(
    {"s3": _s3, "azure": _azure, "google": _google}
)

"""The remote stores of files in tests. The suite of files passes in each of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import fsspec
import pytest
from azure.storage.blob import BlobServiceClient

from components.settings import Settings
from components.storage.access import Access
from components.storage.stores import RemoteStore, Store, open_store
from tests.support.landing_stores import access_to_s3
from tests.support.servers import Azurite, GcsServer, S3Server


@dataclass(frozen=True)
class FileStore:
    """An empty bucket or container in a running store.

    Attributes:
        root: URI of the bucket or container.
        missing: URI of one that does not exist.
        store: The store.
    """

    root: str
    missing: str
    store: Store


def _s3(request: pytest.FixtureRequest, bucket: str) -> FileStore:
    server: S3Server = request.getfixturevalue("s3")
    server.make_bucket(bucket)
    root = f"s3a://{bucket}"
    return FileStore(root, "s3a://no-such-bucket", open_store(root, access_to_s3(server)))


def _azure(request: pytest.FixtureRequest, name: str) -> FileStore:
    azurite: Azurite = request.getfixturevalue("azurite")
    service = BlobServiceClient.from_connection_string(azurite.connection_string)
    service.create_container(name)
    host = f"{service.account_name}.dfs.core.windows.net"
    # `open_store` reaches only Azure itself.
    options = {"connection_string": azurite.connection_string, "use_listings_cache": False}
    store = RemoteStore(fsspec.filesystem("abfss", **options))
    return FileStore(f"abfss://{name}@{host}", f"abfss://no-such-container@{host}", store)


def _google(request: pytest.FixtureRequest, bucket: str) -> FileStore:
    server: GcsServer = request.getfixturevalue("gcs")
    server.make_bucket(bucket)
    root = f"gs://{bucket}"
    return FileStore(root, "gs://no-such-bucket", open_store(root, Access.of(Settings(gcs_endpoint=server.url))))


# The function takes the name of a new bucket or container.
FILE_STORES: Mapping[str, Callable[[pytest.FixtureRequest, str], FileStore]] = MappingProxyType(
    {"s3": _s3, "azure": _azure, "google": _google}
)

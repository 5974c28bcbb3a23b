"""The stores that can have a landing folder in tests. The suite of listings passes in each of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pytest
from azure.storage.blob import BlobServiceClient
from google.cloud.storage import Client
from pydantic import SecretStr

from components.ingest_images.discovery.azure_listing import AzureListing
from components.ingest_images.discovery.gcs_listing import GcsListing
from components.ingest_images.discovery.listing import Listing
from components.ingest_images.discovery.s3_listing import S3Listing
from components.settings import Settings
from components.storage.access import Access
from tests.support.servers import Azurite, GcsServer, S3Server

_PAGE = 2


@dataclass(frozen=True)
class LandingStore:
    """A landing folder in a running store.

    Attributes:
        source: URI of the folder.
        access: Address and credentials.
        listing: Its listing, with pages of two files.
        put: Writes files of the folder, by name.
        archive: URI of a folder for the archive.
        archived: Listing of that folder.
        missing: Listing of a folder whose bucket or container does not exist.
    """

    source: str
    access: Access
    listing: Listing
    put: Callable[[Mapping[str, bytes]], None]
    archive: str
    archived: Listing
    missing: Listing


def access_to_s3(s3: S3Server) -> Access:
    """Return the access of a user with all permissions."""
    return Access.of(
        Settings(s3_endpoint=s3.url, s3_access_key=SecretStr(s3.access_key), s3_secret_key=SecretStr(s3.secret_key))
    )


def _s3(request: pytest.FixtureRequest, bucket: str) -> LandingStore:
    server: S3Server = request.getfixturevalue("s3")
    server.make_bucket(bucket)
    access = access_to_s3(server)
    listing = S3Listing(f"s3a://{bucket}/landing", access, page=_PAGE)
    archive = f"s3a://{bucket}/archive"

    def put(contents: Mapping[str, bytes]) -> None:
        for name, content in contents.items():
            listing.client.put_object(Bucket=bucket, Key=f"landing/{name}", Body=content)

    missing = S3Listing("s3a://no-such-bucket/landing", access)
    return LandingStore(listing.source, access, listing, put, archive, S3Listing(archive, access), missing)


def _azure(request: pytest.FixtureRequest, name: str) -> LandingStore:
    azurite: Azurite = request.getfixturevalue("azurite")
    service = BlobServiceClient.from_connection_string(azurite.connection_string)
    container = service.create_container(name)
    # The emulator stands for this account. `AzureListing.of` reaches only Azure itself.
    root = f"abfss://{name}@{service.account_name}.dfs.core.windows.net"

    def put(contents: Mapping[str, bytes]) -> None:
        for each, content in contents.items():
            container.upload_blob(f"landing/{each}", content, overwrite=True)

    listing = AzureListing(f"{root}/landing", container, "landing/", page=_PAGE)
    archive = f"{root}/archive"
    archived = AzureListing(archive, container, "archive/")
    missing = AzureListing("abfss://none@account/landing", service.get_container_client("none"), "landing/")
    return LandingStore(listing.source, Access(), listing, put, archive, archived, missing)


def _google(request: pytest.FixtureRequest, bucket: str) -> LandingStore:
    server: GcsServer = request.getfixturevalue("gcs")
    server.make_bucket(bucket)
    access = Access.of(Settings(gcs_endpoint=server.url))
    listing = GcsListing(f"gs://{bucket}/landing", access, page=_PAGE)
    archive = f"gs://{bucket}/archive"
    client: Client = listing.client

    def put(contents: Mapping[str, bytes]) -> None:
        for name, content in contents.items():
            client.bucket(bucket).blob(f"landing/{name}").upload_from_string(content)

    missing = GcsListing("gs://no-such-bucket/landing", access)
    return LandingStore(listing.source, access, listing, put, archive, GcsListing(archive, access), missing)


# The function takes the name of a new bucket or container.
LANDING_STORES: Mapping[str, Callable[[pytest.FixtureRequest, str], LandingStore]] = MappingProxyType(
    {"s3": _s3, "azure": _azure, "google": _google}
)

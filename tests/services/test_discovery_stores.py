"""Test the listing of landing folders in S3 and Azure: pages, start, names, and the archive."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

import pytest
from azure.storage.blob import BlobServiceClient
from pydantic import SecretStr

from components.errors import InputError
from components.ingest_images.discovery.azure_listing import AzureListing
from components.ingest_images.discovery.listing import Listing
from components.ingest_images.discovery.s3_listing import S3Listing
from components.settings import Settings
from components.storage.access import Access
from tests.support.servers import Azurite, S3Server

NAMES = sorted(
    ["a b.jpg", "a%20b.jpg", "a+b.jpg", "a/1.jpg", "a/2.jpg", "b:c.jpg", "e\u0301.jpg", "é.jpg", "日本/写真.jpg"]
)
PutFiles = Callable[[Mapping[str, bytes]], None]


class Store(NamedTuple):
    """A store.

    Attributes:
        listing: Listing of its landing folder, with pages of two files.
        put: Writes files of the landing folder.
        archive: URI of a folder for the archive.
        archived: Listing of that folder.
    """

    listing: Listing
    put: PutFiles
    archive: str
    archived: Listing


def access_to(s3: S3Server) -> Access:
    return Access.of(
        Settings(s3_endpoint=s3.url, s3_access_key=SecretStr(s3.access_key), s3_secret_key=SecretStr(s3.secret_key))
    )


@pytest.fixture(params=["s3", "azure"])
def store(request: pytest.FixtureRequest) -> Store:
    """S3 or Azure."""
    name = re.sub("[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[-60:].strip("-")
    if request.param == "s3":
        return s3_store(request.getfixturevalue("s3"), name)
    return azure_store(request.getfixturevalue("azurite"), name)


def s3_store(s3: S3Server, name: str) -> Store:
    s3.make_bucket(name)
    listing = S3Listing(f"s3a://{name}/landing", access_to(s3), page=2)
    archive = f"s3a://{name}/archive"

    def put(contents: Mapping[str, bytes]) -> None:
        for each, content in contents.items():
            listing.client.put_object(Bucket=name, Key=f"landing/{each}", Body=content)

    return Store(listing, put, archive, S3Listing(archive, access_to(s3)))


def azure_store(azurite: Azurite, name: str) -> Store:
    container = BlobServiceClient.from_connection_string(azurite.connection_string).create_container(name)
    # The emulator stands for this account. `AzureListing.of` reaches only Azure itself.
    root = f"abfss://{name}@account.dfs.core.windows.net"

    def put(contents: Mapping[str, bytes]) -> None:
        for each, content in contents.items():
            container.upload_blob(f"landing/{each}", content, overwrite=True)

    listing = AzureListing(f"{root}/landing", container, "landing/", page=2)
    archive = f"{root}/archive"
    return Store(listing, put, archive, AzureListing(archive, container, "archive/"))


def test_all_pages_are_listed_with_unchanged_names(store: Store) -> None:
    listing, put, *_ = store
    put({name: name.encode() for name in NAMES})

    found = list(listing.files())

    assert sorted(file.name for file in found) == NAMES
    assert [file.length for file in found] == [len(file.name.encode()) for file in found]
    assert found == [listing.status(file.name) for file in found]


@pytest.mark.parametrize("start", ["2026/02/", "2026/02/b.jpg"])
def test_listing_starts_at_a_path(store: Store, start: str) -> None:
    listing, put, *_ = store
    names = [f"2026/{month}/{letter}.jpg" for month in ("01", "02", "03") for letter in "abc"]
    put(dict.fromkeys(names, b"content"))

    found = [file.name for file in listing.files(start)]

    assert [name for name in found if name != start] == [name for name in names if name > start]


def test_only_a_rewritten_file_has_another_etag(store: Store) -> None:
    listing, put, *_ = store
    put({"a.jpg": b"one", "b.jpg": b"one"})
    before = {file.name: file.etag for file in listing.files()}

    put({"a.jpg": b"two"})
    after = {file.name: file.etag for file in listing.files()}

    assert {name for name in before if before[name] != after[name]} == {"a.jpg"}
    assert listing.status("missing.jpg") is None


def test_archive_takes_away_only_unchanged_files(store: Store) -> None:
    listing, put, archive, archived = store
    put({"moved a%20+b.jpg": b"1", "deleted.jpg": b"2", "changed.jpg": b"3", "vanished.jpg": b"4"})
    found = {file.name: file for file in listing.files()}
    put({"changed.jpg": b"changed"})
    assert listing.archive(found["vanished.jpg"], "")

    assert listing.archive(found["moved a%20+b.jpg"], archive)
    assert listing.archive(found["deleted.jpg"], "")
    assert not listing.archive(found["changed.jpg"], archive)
    assert not listing.archive(found["vanished.jpg"], archive)
    assert [file.name for file in listing.files()] == ["changed.jpg"]
    assert [(file.name, file.length) for file in archived.files()] == [("moved a%20+b.jpg", 1)]


def test_missing_bucket_or_container_is_refused(s3: S3Server, azurite: Azurite) -> None:
    service = BlobServiceClient.from_connection_string(azurite.connection_string)
    listings: list[Listing] = [
        S3Listing("s3a://no-such-bucket/landing", access_to(s3)),
        AzureListing("abfss://none@account/landing", service.get_container_client("none"), "landing/"),
    ]

    for listing in listings:
        with pytest.raises(InputError, match=r"source: '\S+' not found \((NoSuchBucket|ContainerNotFound)\)"):
            list(listing.files())


def test_refused_access_names_the_settings(s3: S3Server) -> None:
    access = replace(access_to(s3), s3_secret_key=SecretStr("wrong"))

    with pytest.raises(InputError, match=r"source: access to 's3a://bucket/landing' is refused .* s3_secret_key"):
        list(S3Listing("s3a://bucket/landing", access).files())

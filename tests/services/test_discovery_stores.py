"""Test the listing of landing folders in each store: pages, start, names, and the archive."""

import re
from dataclasses import replace

import pytest
from pydantic import SecretStr

from components.errors import InputError
from components.ingest_images.discovery.s3_listing import S3Listing
from tests.support.landing_stores import LANDING_STORES, LandingStore, access_to_s3
from tests.support.servers import S3Server

NAMES = sorted(
    ["a b.jpg", "a%20b.jpg", "a+b.jpg", "a/1.jpg", "a/2.jpg", "b:c.jpg", "e\u0301.jpg", "é.jpg", "日本/写真.jpg"]
)


@pytest.fixture(params=LANDING_STORES)
def store(request: pytest.FixtureRequest) -> LandingStore:
    """A landing folder in each store."""
    name = re.sub("[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[-60:].strip("-")
    return LANDING_STORES[request.param](request, name)


def test_all_pages_are_listed_with_unchanged_names(store: LandingStore) -> None:
    listing, put = store.listing, store.put
    put({name: name.encode() for name in NAMES})

    found = list(listing.files())

    assert sorted(file.name for file in found) == NAMES
    assert [file.length for file in found] == [len(file.name.encode()) for file in found]
    assert found == [listing.status(file.name) for file in found]


@pytest.mark.parametrize("start", ["2026/02/", "2026/02/b.jpg"])
def test_listing_starts_at_a_path(store: LandingStore, start: str) -> None:
    listing, put = store.listing, store.put
    names = [f"2026/{month}/{letter}.jpg" for month in ("01", "02", "03") for letter in "abc"]
    put(dict.fromkeys(names, b"content"))

    found = [file.name for file in listing.files(start)]

    assert [name for name in found if name != start] == [name for name in names if name > start]


def test_only_a_rewritten_file_has_another_etag(store: LandingStore) -> None:
    listing, put = store.listing, store.put
    put({"a.jpg": b"one", "b.jpg": b"one"})
    before = {file.name: file.etag for file in listing.files()}

    put({"a.jpg": b"two"})
    after = {file.name: file.etag for file in listing.files()}

    assert {name for name in before if before[name] != after[name]} == {"a.jpg"}
    assert listing.status("missing.jpg") is None


def test_archive_takes_away_only_unchanged_files(store: LandingStore) -> None:
    listing, put, archive = store.listing, store.put, store.archive
    put({"moved a%20+b.jpg": b"1", "deleted.jpg": b"2", "changed.jpg": b"3", "vanished.jpg": b"4"})
    found = {file.name: file for file in listing.files()}
    put({"changed.jpg": b"changed"})
    assert listing.archive(found["vanished.jpg"], "")

    assert listing.archive(found["moved a%20+b.jpg"], archive)
    assert listing.archive(found["deleted.jpg"], "")
    assert not listing.archive(found["changed.jpg"], archive)
    assert not listing.archive(found["vanished.jpg"], archive)
    assert [file.name for file in listing.files()] == ["changed.jpg"]
    assert [(file.name, file.length) for file in store.archived.files()] == [("moved a%20+b.jpg", 1)]


def test_missing_bucket_or_container_is_refused(store: LandingStore) -> None:
    with pytest.raises(InputError, match=r"source: '\S+' not found \((NoSuchBucket|ContainerNotFound|NotFound)\)"):
        list(store.missing.files())


def test_refused_access_names_the_settings(s3: S3Server) -> None:
    access = replace(access_to_s3(s3), s3_secret_key=SecretStr("wrong"))

    with pytest.raises(InputError, match=r"source: access to 's3a://bucket/landing' is refused .* s3_secret_key"):
        list(S3Listing("s3a://bucket/landing", access).files())

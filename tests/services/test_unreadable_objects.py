"""Objects that a store refuses: each is quarantined with its reason, and the rest of the landing folder goes in."""

import pytest
from pydantic import SecretStr

from components.errors import InputError
from components.ingest_images.ingest import ingest_folder
from components.lake import Lake
from components.lake.tables import FILES
from components.settings import Settings
from components.storage.access import Access
from components.storage.files import Files
from components.storage.stores import open_store
from tests.support.servers import S3Server
from tests.support.training_set_factory import digits

LANDING = "s3a://half-readable/landing"


@pytest.fixture(scope="module", autouse=True)
def bucket(s3: S3Server) -> None:
    s3.make_bucket("half-readable")


def put(s3: S3Server, *names: str) -> None:
    settings = Settings.load(
        s3_endpoint=s3.url, s3_access_key=SecretStr(s3.access_key), s3_secret_key=SecretStr(s3.secret_key)
    )
    store = open_store(LANDING, Access.of(settings))
    for name, (content, _) in zip(names, digits(len(names)), strict=True):
        store.write(f"{LANDING}/{name}", content)


@pytest.fixture
def lister(lake: Lake, s3: S3Server) -> Lake:
    """The empty lake, with the access of the user who may not read every object."""
    secret = SecretStr(s3.lister_secret_key)
    settings = Settings.load(s3_endpoint=s3.url, s3_access_key=SecretStr(s3.lister_access_key), s3_secret_key=secret)
    return Lake(lake.spark, lake.root, Files.of(settings))


def test_object_that_the_store_refuses_is_quarantined_and_the_rest_is_ingested(lister: Lake, s3: S3Server) -> None:
    put(s3, "readable.jpg", "secret.jpg")

    result = ingest_folder(lister, LANDING, labeled=False)

    assert (result.found, result.ingested) == (2, 1)
    assert {row["path"]: row["reason"] for row in lister.read(FILES).collect()} == {
        f"{LANDING}/readable.jpg": None,
        f"{LANDING}/secret.jpg": "can't be read: permission denied",
    }


def test_source_that_the_store_refuses_as_a_whole_is_named_and_nothing_is_quarantined(
    lister: Lake, s3: S3Server
) -> None:
    put(s3, *(f"secret/{number}.jpg" for number in range(20)))

    with pytest.raises(InputError, match=r"^source: no permission to read 's3a://half-readable/landing/secret/"):
        ingest_folder(lister, f"{LANDING}/secret", labeled=False)

    assert lister.read(FILES).count() == 0

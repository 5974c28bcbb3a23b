"""Export to an Azure Blob container."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from azure.storage.blob import (
    BlobServiceClient,
    ContainerClient,
    ResourceTypes,
    generate_account_sas,
)
from pydantic import SecretStr

from components.errors import InputError
from components.export_for_labeling.choice import Choice
from components.export_for_labeling.destinations import AzureBlob, Destination, open_destination
from components.export_for_labeling.export import ExportResult, export_batch
from components.lake import Lake
from components.lake.tables import LABELING_REQUESTS
from components.settings import Settings
from tests.local.scored_lake import insert_scored, jpeg, path
from tests.services.servers import Azurite


@pytest.fixture
def container(azurite: Azurite, request: pytest.FixtureRequest) -> ContainerClient:
    """A new container, empty."""
    name = "c-" + re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[-50:].strip("-")
    return BlobServiceClient.from_connection_string(azurite.connection_string).create_container(name)


@pytest.fixture
def settings(azurite: Azurite) -> Settings:
    return Settings.load(azure_storage_connection_string=azurite.connection_string)


def url(azurite: Azurite, container: ContainerClient) -> str:
    return f"{azurite.blob_url}/{container.container_name}/to label/2026"


def export(lake: Lake, settings: Settings, destination: Destination) -> ExportResult:
    return export_batch(lake, settings, destination, Choice(fraction=1, audit_fraction=0))


def blobs(container: ContainerClient) -> dict[str, bytes]:
    return {name: container.download_blob(name).readall() for name in container.list_blob_names()}


def signed(azurite: Azurite, permission: str) -> str:
    """Return a connection string that grants no more than some permissions on blobs."""
    client = BlobServiceClient.from_connection_string(azurite.connection_string)
    signature = generate_account_sas(
        client.account_name or "",
        account_key=client.credential.account_key,
        resource_types=ResourceTypes(object=True),
        permission=permission,
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )
    return f"BlobEndpoint={azurite.blob_url};SharedAccessSignature={signature}"


def test_a_container_gets_the_images_and_their_manifest(
    lake: Lake, azurite: Azurite, container: ContainerClient, settings: Settings
) -> None:
    insert_scored(lake, dict.fromkeys(range(20), 0.5))
    destination = open_destination(url(azurite, container), settings)
    destination.check()

    result = export(lake, settings, destination)

    stored = blobs(container)
    manifest = f"to label/2026/{result.batch}/manifest.jsonl"
    lines = [json.loads(line) for line in stored.pop(manifest).splitlines()]
    assert {line["path"]: stored.pop(f"to label/2026/{result.batch}/{line['file']}") for line in lines} == {
        path(number): jpeg(number) for number in range(20)
    }
    assert stored == {}
    assert result.manifest == f"{azurite.blob_url}/{container.container_name}/{manifest}".replace(" ", "%20")
    assert {row["service"] for row in lake.read(LABELING_REQUESTS).collect()} == {"azure_blob"}
    images = [blob for blob in container.list_blobs() if blob.name.endswith(".jpg")]
    assert {blob.content_settings.content_type for blob in images} == {"image/jpeg"}
    assert export(lake, settings, destination).batches == []


def test_a_signature_for_reading_and_writing_blobs_suffices(
    lake: Lake, azurite: Azurite, container: ContainerClient
) -> None:
    insert_scored(lake, {1: 0.5})
    settings = Settings.load(azure_storage_connection_string=signed(azurite, "rwc"))
    destination = open_destination(url(azurite, container), settings)
    destination.check()

    export(lake, settings, destination)

    assert jpeg(1) in blobs(container).values()


def test_a_batch_that_access_was_refused_for_is_finished_when_it_is_granted(
    lake: Lake, azurite: Azurite, container: ContainerClient, settings: Settings
) -> None:
    insert_scored(lake, {1: 0.5, 2: 0.5})
    read_only = Settings.load(azure_storage_connection_string=signed(azurite, "r"))
    destination = open_destination(url(azurite, container), read_only)
    destination.check()

    with pytest.raises(InputError, match=r"^destination: access to '.*' is refused") as caught:
        export(lake, read_only, destination)
    assert "sig=" not in str(caught.value)
    assert blobs(container) == {}
    result = export(lake, settings, open_destination(url(azurite, container), settings))

    assert [each.resumed for each in result.batches] == [True]
    assert set(blobs(container).values()) >= {jpeg(1), jpeg(2)}


def test_a_container_that_is_missing_is_named(azurite: Azurite, settings: Settings) -> None:
    destination = open_destination(f"{azurite.blob_url}/no-such-container/x", settings)

    with pytest.raises(InputError, match=r"^destination: no container 'no-such-container'.*Make it"):
        destination.check()
    with pytest.raises(InputError, match=r"^destination: no container 'no-such-container'.*Make it"):
        destination.write("a", b"")


@pytest.mark.parametrize(
    ("key", "sentence"),
    [("d3Jvbmc=", r"access to '.*' is refused"), ("x", r"'.*' can't be reached \(AzureSigningError\)")],
    ids=["of another account", "malformed"],
)
def test_a_wrong_key_is_refused_without_being_told(
    azurite: Azurite, container: ContainerClient, key: str, sentence: str
) -> None:
    connection_string = re.sub("AccountKey=[^;]*", f"AccountKey={key}", azurite.connection_string)
    destination = AzureBlob.parse(url(azurite, container), SecretStr(connection_string))

    with pytest.raises(InputError, match=f"^destination: {sentence}") as caught:
        destination.check()

    assert caught.value.__suppress_context__


def test_a_store_that_does_not_answer_is_told(azurite: Azurite) -> None:
    # A port that nothing listens on: it is reserved.
    gone = re.sub(r":\d+/", ":1/", azurite.blob_url)
    connection_string = azurite.connection_string.replace(azurite.blob_url, gone)
    destination = AzureBlob.parse(f"{gone}/container", SecretStr(connection_string))

    with pytest.raises(InputError, match=r"^destination: '.*' can't be reached"):
        destination.check()

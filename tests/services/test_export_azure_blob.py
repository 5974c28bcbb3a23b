"""Tests of what is special about the export to an Azure Blob container. test_labeling_on_stores has the rest."""

import hashlib
import re
from urllib.parse import unquote

import pytest
from azure.storage.blob import ContainerClient

from components.errors import InputError
from components.export_for_labeling.export import ExportResult, export_batch
from components.lake import Lake
from components.parameters import Choice
from components.settings import Settings
from components.storage.folder import Folder
from components.storage.open_folder import open_folder
from tests.services.spoiling_proxy import spoiling_proxy
from tests.support.scored_lake import SUCCESSION, insert_class, insert_scored, jpeg
from tests.support.servers import Azurite


@pytest.fixture
def settings(azurite: Azurite) -> Settings:
    return Settings.load(azure_storage_connection_string=azurite.connection_string)


def url(azurite: Azurite, container: ContainerClient) -> str:
    return f"{azurite.blob_url}/{container.container_name}/to label/2026"


def export(lake: Lake, settings: Settings, destination: Folder) -> ExportResult:
    return export_batch(lake, settings, destination, SUCCESSION, Choice(fraction=1, audit_fraction=0))


def blobs(container: ContainerClient) -> dict[str, bytes]:
    return {name: container.download_blob(name).readall() for name in container.list_blob_names()}


def test_blob_metadata_describes_its_image(
    lake: Lake, azurite: Azurite, container: ContainerClient, settings: Settings
) -> None:
    name = ' "Käse" 100 %\n'
    insert_class(lake, 7, name)
    insert_scored(lake, {1: 0.5})

    result = export(lake, settings, open_folder(url(azurite, container), "destination", settings))

    (image,) = [blob for blob in container.list_blobs(include=["metadata"]) if blob.name.endswith(".jpg")]
    assert {key: unquote(value) for key, value in image.metadata.items()} == {
        "batch": result.batch,
        "model_version": "1",
        "name": name,
        "predicted_label": "7",
        "reason": "uncertain",
        "score": "0.5",
        "sha256": hashlib.sha256(jpeg(1)).hexdigest(),
    }
    assert image.content_settings.content_md5 == bytearray(hashlib.md5(jpeg(1)).digest())
    assert image.content_settings.content_type == "image/jpeg"


def test_blob_uploaded_in_blocks_has_its_md5_and_can_be_rewritten(
    azurite: Azurite, container: ContainerClient, settings: Settings
) -> None:
    destination = open_folder(url(azurite, container), "destination", settings)
    # The client library sends up to 64 MiB in one request, for which the store computes the MD5 itself.
    content = bytes(64 * 2**20 + 1)

    for _ in range(2):
        destination.write("a.jpg", content, {})

    (blob,) = container.list_blobs()
    assert blob.content_settings.content_md5 == bytearray(hashlib.md5(content).digest())


def test_existing_blob_is_never_replaced(
    lake: Lake, azurite: Azurite, container: ContainerClient, settings: Settings
) -> None:
    destination = open_folder(url(azurite, container), "destination", settings)
    destination.write("a.jpg", b"one", {})
    (before,) = container.list_blobs()

    destination.write("a.jpg", b"one", {"reason": "written again"})
    with pytest.raises(InputError, match=r"^destination: '.*/to%20label/2026/a.jpg' exists with another content"):
        destination.write("a.jpg", b"two", {})

    assert [(blob.name, blob.etag) for blob in container.list_blobs()] == [(before.name, before.etag)]
    assert list(blobs(container).values()) == [b"one"]


def test_content_corrupted_in_transit_is_refused(azurite: Azurite, container: ContainerClient) -> None:
    with spoiling_proxy(azurite.blob_url, b"whole", b"holes") as proxied:
        connection_string = azurite.connection_string.replace(azurite.blob_url, proxied)
        settings = Settings.load(azure_storage_connection_string=connection_string)
        destination = open_folder(f"{proxied}/{container.container_name}", "destination", settings)

        with pytest.raises(InputError, match=r"^destination: '.*' responded with Md5Mismatch"):
            destination.write("a.jpg", b"a whole image", {})
        destination.write("b.jpg", b"another image", {})

    assert blobs(container) == {"b.jpg": b"another image"}


def test_signature_with_read_and_write_on_blobs_suffices(
    lake: Lake, azurite: Azurite, container: ContainerClient
) -> None:
    insert_scored(lake, {1: 0.5})
    settings = Settings.load(azure_storage_connection_string=azurite.signed("rwc"))
    destination = open_folder(url(azurite, container), "destination", settings)
    destination.check()

    export(lake, settings, destination)

    assert jpeg(1) in blobs(container).values()


def test_batch_is_completed_once_access_is_granted(
    lake: Lake, azurite: Azurite, container: ContainerClient, settings: Settings
) -> None:
    insert_scored(lake, {1: 0.5, 2: 0.5})
    read_only = Settings.load(azure_storage_connection_string=azurite.signed("r"))
    destination = open_folder(url(azurite, container), "destination", read_only)
    destination.check()

    with pytest.raises(InputError, match=r"^destination: access to '.*' is refused") as caught:
        export(lake, read_only, destination)
    assert "sig=" not in str(caught.value)
    assert blobs(container) == {}
    result = export(lake, settings, open_folder(url(azurite, container), "destination", settings))

    assert [each.resumed for each in result.batches] == [True]
    assert set(blobs(container).values()) >= {jpeg(1), jpeg(2)}


def test_missing_container_is_named(azurite: Azurite, settings: Settings) -> None:
    destination = open_folder(f"{azurite.blob_url}/no-such-container/x", "destination", settings)

    with pytest.raises(InputError, match=r"^destination: container 'no-such-container' of .* not found\. Create it"):
        destination.check()
    with pytest.raises(InputError, match=r"^destination: container 'no-such-container' of .* not found\. Create it"):
        destination.write("a", b"", {})


@pytest.mark.parametrize(
    ("key", "sentence"),
    [("d3Jvbmc=", r"access to '.*' is refused"), ("x", r"'.*' can't be reached \(AzureSigningError\)")],
    ids=["of another account", "malformed"],
)
def test_wrong_key_is_refused_and_not_shown(
    azurite: Azurite, container: ContainerClient, key: str, sentence: str
) -> None:
    connection_string = re.sub("AccountKey=[^;]*", f"AccountKey={key}", azurite.connection_string)
    settings = Settings.load(azure_storage_connection_string=connection_string)
    destination = open_folder(url(azurite, container), "destination", settings)

    with pytest.raises(InputError, match=f"^destination: {sentence}") as caught:
        destination.check()

    assert caught.value.__suppress_context__

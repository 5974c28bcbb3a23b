"""Tests of what is special about the import from an Azure Blob container. test_labeling_on_stores has the rest."""

import time

import pytest
from azure.storage.blob import ContainerClient

from components.errors import InputError
from components.labeling.sources import open_source
from components.settings import Settings
from tests.support.servers import Azurite


@pytest.fixture
def settings(azurite: Azurite) -> Settings:
    return Settings.load(azure_storage_connection_string=azurite.connection_string)


def test_newest_export_of_a_container_is_read_first(container: ContainerClient, settings: Settings) -> None:
    source = open_source(container.url + "/annotations", settings)
    container.upload_blob("elsewhere.csv", b"")
    for name in ("b.csv", "c.csv", "a.csv", "b.csv"):
        _write_later(container, f"annotations/{name}")

    assert [export.name for export in source.listing().exports] == ["b.csv", "a.csv", "c.csv"]


def test_missing_container_is_named(azurite: Azurite, settings: Settings) -> None:
    with pytest.raises(InputError, match=r"^source: container 'no-such-container' of .* not found\. Create it"):
        open_source(f"{azurite.blob_url}/no-such-container/x", settings).listing()


def test_signature_without_list_permission_names_what_it_lacks(azurite: Azurite, container: ContainerClient) -> None:
    signature = azurite.signed("rw")
    source = open_source(container.url, Settings.load(azure_storage_connection_string=signature))

    with pytest.raises(InputError, match=r"^source: access to '.*' is refused .* grant listing and reading") as caught:
        source.listing()
    assert "sig=" not in str(caught.value)


def _write_later(container: ContainerClient, name: str) -> None:
    """Write a blob that is newer than all others. The store records times in whole seconds."""
    others = [blob.last_modified for blob in container.list_blobs() if blob.name != name]
    before = max(others)
    while container.upload_blob(name, b"", overwrite=True).get_blob_properties().last_modified <= before:
        time.sleep(0.2)

"""Tests of the import from an Azure Blob container: the newest export first, each exactly once."""

import json
import time
from pathlib import Path

import pytest
from azure.storage.blob import ContainerClient

from components.errors import InputError
from components.import_labels.import_annotations import ImportResult, import_into
from components.labeling.batches import copy_name
from components.labeling.requests import UNCERTAIN
from components.labeling.sources import open_source
from components.lake import Lake
from components.lake.tables import CLASSES, FOLDER, LABELING_REQUESTS, LABELS
from components.registry.model_registry import ModelRegistry
from components.settings import Settings
from tests.support.lake_rows import append_rows
from tests.support.scored_lake import NOW, insert_images, jpeg, path
from tests.support.servers import Azurite
from tests.support.tracking import make_tracking


@pytest.fixture
def settings(azurite: Azurite) -> Settings:
    return Settings.load(azure_storage_connection_string=azurite.connection_string)


def test_each_export_in_a_container_is_imported_once(
    lake: Lake, container: ContainerClient, settings: Settings, tmp_path: Path
) -> None:
    insert_images(lake, {path(number): jpeg(number) for number in range(4)})
    digests = {row["path"]: row["content_sha256"] for row in lake.current_images().collect()}
    prediction = ("model", "1", 1, 0.5)
    rows = [
        (name, digest, "b1", "azure_blob", UNCERTAIN, *prediction, NOW, None, None) for name, digest in digests.items()
    ]
    append_rows(lake, LABELING_REQUESTS, rows)
    append_rows(lake, CLASSES, [(1, "ak47", None, FOLDER), (2, "flag", None, FOLDER)])
    urls = [f"AmlDatastore://to_label/b1/{copy_name(digests[path(number)], path(number))}" for number in range(4)]
    coco = {
        "images": [{"id": 1, "coco_url": urls[0]}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1}],
        "categories": [{"id": 1, "name": "ak47"}],
    }
    exports = {
        "Labeling/export/coco/7/labels.json": json.dumps(coco),
        "Labeling/export/csv/8/labels.csv": f"Url,Label,LabelConfidence\n{urls[1]},flag,1\n",
        "Labeling/export/data/9/labels.jsonl": json.dumps({"image_url": urls[2], "label": "ak47"}),
        # The export wrote it: it holds predictions, not annotations.
        "to-label/b1/manifest.jsonl": json.dumps({"path": path(3), "name": "ak47"}),
    }
    for name, text in exports.items():
        container.upload_blob(name, text.encode())
    registry = ModelRegistry(make_tracking(tmp_path), "model")

    def run() -> ImportResult:
        return import_into(lake, registry, open_source(container.url, settings))

    def labels() -> dict[str, int]:
        return {row["path"]: row["label"] for row in lake.read(LABELS).collect()}

    first, labeled, second = run(), labels(), run()
    container.upload_blob("Labeling/export/csv/8/labels.csv", f"Url,Label\n{urls[1]},ak47\n".encode(), overwrite=True)
    third = run()

    assert labeled == {path(0): 1, path(1): 2, path(2): 1}
    assert labels() == {path(0): 1, path(1): 1, path(2): 1}
    assert [(each.files, each.unchanged_files, each.imported) for each in (first, second, third)] == [
        (3, 0, 3),
        (0, 3, 0),
        (1, 2, 1),
    ]


def test_newest_export_of_a_container_is_read_first(container: ContainerClient, settings: Settings) -> None:
    source = open_source(container.url + "/annotations", settings)
    container.upload_blob("elsewhere.csv", b"")
    for name in ("b.csv", "c.csv", "a.csv", "b.csv"):
        _write_later(container, f"annotations/{name}")

    assert [export.name for export in source.listing().exports] == ["b.csv", "a.csv", "c.csv"]


def test_single_blob_can_be_a_source(container: ContainerClient, settings: Settings) -> None:
    container.upload_blob("some annotations/a.csv", b"path,label\n")
    container.upload_blob("some annotations/b.csv", b"")
    source = open_source(f"{container.url}/some annotations/a.csv", settings)

    (export,) = source.listing().exports

    assert source.read(export) == b"path,label\n"
    missing = open_source(f"{container.url}/some annotations/c.csv", settings)
    assert missing.listing().exports == []


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

"""Import from an Azure Blob container: what Azure Machine Learning exports there, the newest first, each once."""

import json
import time
from pathlib import Path

import pytest
from azure.storage.blob import ContainerClient

from components.errors import InputError
from components.export_for_labeling.copies import copy_name
from components.import_labels.import_answers import ImportResult, import_into
from components.import_labels.sources import open_source
from components.lake import Lake, frame
from components.lake.tables import CLASSES, IMAGES, LABELING_REQUESTS, LABELS
from components.register_model.registry import ModelRegistry
from components.settings import Settings
from tests.local.scored_lake import NOW, insert_images, jpeg, path
from tests.services.servers import Azurite


@pytest.fixture
def settings(azurite: Azurite) -> Settings:
    return Settings.load(azure_storage_connection_string=azurite.connection_string)


def test_exports_come_back_from_a_container_each_once(
    lake: Lake, container: ContainerClient, settings: Settings, tmp_path: Path
) -> None:
    insert_images(lake, {path(number): jpeg(number) for number in range(4)})
    rows = [(path(number), "b1", "azure_blob", "doubtful", "1", 1, 0.5, NOW, None, None) for number in range(4)]
    lake.insert_new(LABELING_REQUESTS, frame(lake.spark, rows, LABELING_REQUESTS.columns))
    lake.insert_new(CLASSES, frame(lake.spark, [(1, "ak47", None), (2, "flag", None)], CLASSES.columns))
    digests = {row["path"]: row["content_sha256"] for row in lake.read(IMAGES).collect()}
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
        # What export wrote there: a model's word, and no person's.
        "to-label/b1/manifest.jsonl": json.dumps({"path": path(3), "name": "ak47"}),
    }
    for name, text in exports.items():
        container.upload_blob(name, text.encode())
    registry = ModelRegistry(f"sqlite:///{tmp_path / 'mlflow.db'}", "model")

    def run() -> ImportResult:
        return import_into(lake, registry, open_source(container.url, settings))

    def labels() -> dict[str, int]:
        return {row["path"]: row["label"] for row in lake.read(LABELS).collect()}

    first, labelled, second = run(), labels(), run()
    container.upload_blob("Labeling/export/csv/8/labels.csv", f"Url,Label\n{urls[1]},ak47\n".encode(), overwrite=True)
    third = run()

    assert labelled == {path(0): 1, path(1): 2, path(2): 1}
    assert labels() == {path(0): 1, path(1): 1, path(2): 1}
    assert [(each.files, each.known_files, each.imported) for each in (first, second, third)] == [
        (3, 0, 3),
        (0, 3, 0),
        (1, 2, 1),
    ]


def test_the_newest_export_of_a_container_comes_first(container: ContainerClient, settings: Settings) -> None:
    source = open_source(container.url + "/answers", settings)
    container.upload_blob("elsewhere.csv", b"")
    for name in ("b.csv", "c.csv", "a.csv", "b.csv"):
        _write_later(container, f"answers/{name}")

    assert [each.name for each in source.exports()] == ["b.csv", "a.csv", "c.csv"]


def test_one_blob_can_be_a_source(container: ContainerClient, settings: Settings) -> None:
    container.upload_blob("some answers/a.csv", b"path,label\n")
    container.upload_blob("some answers/b.csv", b"")
    source = open_source(f"{container.url}/some answers/a.csv", settings)

    (export,) = source.exports()

    assert source.read(export) == b"path,label\n"
    with pytest.raises(InputError, match=r"^source: no file or folder '.*/some%20answers/c.csv'"):
        open_source(f"{container.url}/some answers/c.csv", settings).exports()


def test_a_container_that_is_missing_is_named(azurite: Azurite, settings: Settings) -> None:
    with pytest.raises(InputError, match=r"^source: no container 'no-such-container'.*Make it"):
        open_source(f"{azurite.blob_url}/no-such-container/x", settings).exports()


def test_a_signature_that_may_not_list_is_told_what_it_lacks(azurite: Azurite, container: ContainerClient) -> None:
    signature = azurite.signed("rw")
    source = open_source(container.url, Settings.load(azure_storage_connection_string=signature))

    with pytest.raises(InputError, match=r"^source: access to '.*' is refused .* grant listing and reading") as caught:
        source.exports()
    assert "sig=" not in str(caught.value)


def _write_later(container: ContainerClient, name: str) -> None:
    """Write a blob, later than all others: a store tells times in whole seconds."""
    others = [blob.last_modified for blob in container.list_blobs() if blob.name != name]
    before = max(others)
    while container.upload_blob(name, b"", overwrite=True).get_blob_properties().last_modified <= before:
        time.sleep(0.2)

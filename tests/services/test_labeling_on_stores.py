"""Tests of the exchange with people in each store: exported copies, and annotations that come back."""

import json
import re
from pathlib import Path

import pytest

from components.export_for_labeling.export import ExportResult, export_batch
from components.import_labels.import_annotations import ImportResult, import_into
from components.labeling.batches import copy_name
from components.labeling.requests import UNCERTAIN
from components.labeling.sources import open_source
from components.lake import Lake
from components.lake.tables import CLASSES, FOLDER, LABELING_REQUESTS, LABELS
from components.parameters import Choice
from components.registry.model_registry import ModelRegistry
from components.storage import uri
from tests.support.labeling_stores import LABELING_STORES, LabelingStore
from tests.support.lake_rows import append_rows
from tests.support.scored_lake import NOW, SUCCESSION, insert_images, insert_scored, jpeg, path
from tests.support.tracking import make_tracking

# With Spark, a test takes seconds. S3 and Google have the same kind of folder.
_STORES = [pytest.param(name, marks=pytest.mark.slow if name == "s3" else ()) for name in LABELING_STORES]


@pytest.fixture(params=LABELING_STORES)
def store(request: pytest.FixtureRequest) -> LabelingStore:
    """An empty folder in each store."""
    name = "l-" + re.sub("[^a-z0-9]+", "-", request.node.name.lower())[-50:].strip("-")
    return LABELING_STORES[request.param](request, name)


@pytest.mark.parametrize("store", _STORES, indirect=True)
def test_export_writes_the_copies_that_its_manifest_names(lake: Lake, store: LabelingStore) -> None:
    insert_scored(lake, dict.fromkeys(range(20), 0.5))
    destination = store.folder("to label")
    destination.check()

    def run() -> ExportResult:
        choice = Choice(fraction=1, audit_fraction=0)
        return export_batch(lake, store.settings, destination, SUCCESSION, choice)

    result = run()

    manifest = f"{result.batch}/manifest.jsonl"
    stored = {name: destination.read(name) for name in destination.find()}
    lines = [json.loads(line) for line in stored.pop(manifest).splitlines()]
    assert {line["path"]: stored.pop(f"{result.batch}/{line['file']}") for line in lines} == {
        path(number): jpeg(number) for number in range(20)
    }
    assert stored == {}
    assert result.manifest == uri.join(destination.uri, manifest)
    assert {row["service"] for row in lake.read(LABELING_REQUESTS).collect()} == {destination.kind}
    assert run().batches == []


@pytest.mark.parametrize("store", _STORES, indirect=True)
def test_each_file_of_annotations_is_imported_once(lake: Lake, store: LabelingStore, tmp_path: Path) -> None:
    insert_images(lake, {path(number): jpeg(number) for number in range(4)})
    digests = {row["path"]: row["content_sha256"] for row in lake.current_images().collect()}
    prediction = ("model", "1", 1, 0.5)
    rows = [
        (name, digest, "b1", store.folder().kind, UNCERTAIN, *prediction, NOW, None, None)
        for name, digest in digests.items()
    ]
    append_rows(lake, LABELING_REQUESTS, rows)
    append_rows(lake, CLASSES, [(1, "ak47", None, FOLDER), (2, "flag", None, FOLDER)])
    copies = [f"b1/{copy_name(digests[path(number)], path(number))}" for number in range(4)]
    coco = {
        "images": [{"id": 1, "coco_url": f"AmlDatastore://to_label/{copies[0]}"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1}],
        "categories": [{"id": 1, "name": "ak47"}],
    }
    url = f"{store.address}/to-label/{copies[1]}"
    exports = {
        "Labeling/export/coco/7/labels.json": json.dumps(coco),
        "Labeling/export/csv/8/labels.csv": f"Url,Label,LabelConfidence\n{url},flag,1\n",
        "Labeling/export/data/9/labels.jsonl": json.dumps({"image_url": copies[2], "label": "ak47"}),
        # The export wrote it: it holds predictions, not annotations.
        "to-label/b1/manifest.jsonl": json.dumps({"path": path(3), "name": "ak47"}),
    }
    for name, text in exports.items():
        store.put(name, text.encode())
    registry = ModelRegistry(make_tracking(tmp_path), "model")

    def run() -> ImportResult:
        return import_into(lake, registry, open_source(store.address, store.settings))

    def labels() -> dict[str, int]:
        return {row["path"]: row["label"] for row in lake.read(LABELS).collect()}

    first, labeled, second = run(), labels(), run()
    store.put("Labeling/export/csv/8/labels.csv", f"Url,Label\n{url},ak47\n".encode())
    third = run()

    assert labeled == {path(0): 1, path(1): 2, path(2): 1}
    assert labels() == {path(0): 1, path(1): 1, path(2): 1}
    assert [(each.files, each.unchanged_files, each.imported) for each in (first, second, third)] == [
        (3, 0, 3),
        (0, 3, 0),
        (1, 2, 1),
    ]


def test_single_file_can_be_a_source(store: LabelingStore) -> None:
    store.put("some annotations/a.csv", b"path,label\n")
    store.put("some annotations/b.csv", b"")
    source = open_source(f"{store.address}/some annotations/a.csv", store.settings)

    (export,) = source.listing().exports

    assert source.read(export) == b"path,label\n"
    missing = open_source(f"{store.address}/some annotations/c.csv", store.settings)
    assert missing.listing().exports == []


def test_copy_is_removed_once(store: LabelingStore) -> None:
    folder = store.folder("to label")
    for name in ("b1/images/0123-a.jpg", "b1/images/4567-b.jpg"):
        folder.write(name, b"content", {})

    assert [folder.remove("b1/images/0123-a.jpg") for _ in range(2)] == [True, False]
    assert folder.find().keys() == {"b1/images/4567-b.jpg"}

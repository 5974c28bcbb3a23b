"""Tests of an export with a hundred thousand annotations, most of unknown images."""

import json
from pathlib import Path

import pytest

from components.import_labels.import_annotations import import_into
from components.import_labels.reading import UNKNOWN_PATH
from components.import_labels.report import write_report
from components.labeling.sources import open_source
from components.lake import Lake
from components.lake.tables import ANNOTATIONS, CLASSES, FOLDER, LABELS
from components.registry.model_registry import ModelRegistry
from components.settings import Settings
from tests.support.lake_rows import append_rows
from tests.support.scored_lake import insert_images, path

ANNOTATIONS_READ = 100_000
EXISTING = 1_000
EVERY = ANNOTATIONS_READ // EXISTING


@pytest.mark.timeout(0)
def test_import_of_100_000_annotations_labels_existing_images_and_counts_the_rest(lake: Lake, tmp_path: Path) -> None:
    existing = range(0, ANNOTATIONS_READ, EVERY)
    insert_images(lake, {path(number): b"%d" % number for number in existing})
    append_rows(lake, CLASSES, [(1, "ak47", None, FOLDER), (2, "flag", None, FOLDER)])
    export = tmp_path / "annotations.jsonl"
    with export.open("w") as lines:
        for number in range(ANNOTATIONS_READ):
            lines.write(json.dumps({"path": path(number), "label": label(number), "annotator": "ann"}) + "\n")
    registry = ModelRegistry(f"sqlite:///{tmp_path / 'mlflow.db'}", "model")

    result = import_into(lake, registry, open_source(str(export), Settings.load()))
    write_report(result, str(tmp_path / "report.html"))

    expected = {path(number): label(number) for number in existing}
    for table in (ANNOTATIONS, LABELS):
        rows = lake.read(table).collect()
        assert len(rows) == EXISTING
        assert {row["path"]: row["label"] for row in rows} == expected
    assert (result.read, result.imported, result.new_labels) == (EXISTING, EXISTING, EXISTING)
    assert len(result.rejected) == ANNOTATIONS_READ - EXISTING
    assert {rejection.reason for rejection in result.rejected} == {UNKNOWN_PATH}
    assert (tmp_path / "report.html").stat().st_size < 2_000_000
    assert f"{ANNOTATIONS_READ - EXISTING:,}" in (tmp_path / "report.html").read_text()


def label(number: int) -> int:
    return 1 + number // EVERY % 2

"""One export of a hundred thousand answers, of which few are about images that the lake has."""

import json
from pathlib import Path

import pytest

from components.import_labels.import_answers import import_into
from components.import_labels.reading import UNKNOWN_PATH
from components.import_labels.report import write_report
from components.import_labels.sources import open_source
from components.lake import Lake, frame
from components.lake.tables import ANNOTATIONS, CLASSES, LABELS
from components.register_model.registry import ModelRegistry
from components.settings import Settings
from tests.local.scored_lake import insert_images, path

ANSWERS = 100_000
KNOWN = 1_000
EVERY = ANSWERS // KNOWN


@pytest.mark.timeout(0)
def test_of_100_000_answers_those_about_known_images_become_labels_and_the_rest_is_counted(
    lake: Lake, tmp_path: Path
) -> None:
    known = range(0, ANSWERS, EVERY)
    insert_images(lake, {path(number): b"%d" % number for number in known})
    lake.insert_new(CLASSES, frame(lake.spark, [(1, "ak47", None), (2, "flag", None)], CLASSES.columns))
    export = tmp_path / "answers.jsonl"
    with export.open("w") as lines:
        for number in range(ANSWERS):
            lines.write(json.dumps({"path": path(number), "label": label(number), "annotator": "ann"}) + "\n")
    registry = ModelRegistry(f"sqlite:///{tmp_path / 'mlflow.db'}", "model")

    result = import_into(lake, registry, open_source(str(export), Settings.load()))
    write_report(result, str(tmp_path / "report.html"))

    expected = {path(number): label(number) for number in known}
    for table in (ANNOTATIONS, LABELS):
        rows = lake.read(table).collect()
        assert len(rows) == KNOWN
        assert {row["path"]: row["label"] for row in rows} == expected
    assert (result.read, result.imported, result.new_labels) == (KNOWN, KNOWN, KNOWN)
    assert len(result.rejected) == ANSWERS - KNOWN
    assert {each.reason for each in result.rejected} == {UNKNOWN_PATH}
    assert (tmp_path / "report.html").stat().st_size < 2_000_000
    assert f"{ANSWERS - KNOWN:,}" in (tmp_path / "report.html").read_text()


def label(number: int) -> int:
    return 1 + number // EVERY % 2

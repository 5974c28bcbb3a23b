"""Tests of the import of annotations: each becomes a label exactly once, by the rule for conflicting labels."""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from components.build_training_set.build import build_training_set
from components.errors import InputError
from components.import_labels.annotations import REPEATED_ID
from components.import_labels.edit_classes import edit_classes, list_classes
from components.import_labels.import_annotations import ImportResult, import_annotations, import_into
from components.import_labels.reading import UNKNOWN_PATH
from components.import_labels.report import write_report
from components.import_labels.rule import decide_labels
from components.import_labels.status import NAME
from components.import_labels.undo import Selection, Undone, undo
from components.labeling.batches import UNKNOWN_COPY, copy_name
from components.labeling.formats import Outcome, Rejection
from components.labeling.requests import CONFLICTING, LABELED, SKIPPED, UNCERTAIN
from components.labeling.sources import open_source
from components.lake import Lake
from components.lake.tables import ANNOTATIONS, CLASSES, FOLDER, FOLDER_LABELS_END, LABELING_REQUESTS, LABELS
from components.parameters.labeling import LabelRule
from components.pipeline_run import RUN_ID_VARIABLE
from components.registry.model_registry import CHAMPION, ModelRegistry
from components.registry.tags import TRAINING_SET_URI_TAG
from components.settings import Settings
from components.spark.frames import frame
from components.storage.notes import note_uri
from components.training_set.new_labels import count_new_labels
from tests.support.lake_rows import append_images, append_rows, replace_image
from tests.support.saved_model_factory import log_classifier, random_classifier
from tests.support.scored_lake import insert_images
from tests.support.tracking import make_tracking

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)

AnnotationRow = tuple[str, str, str, str, int | None, str, datetime, None]


def path(number: int) -> str:
    return f"file:/landing/{number}.jpg"


@pytest.fixture
def filled(lake: Lake) -> Lake:
    """Thirty images without a label, sixty with one, three classes, and requests for the first twenty."""
    images = [(path(number), content(number), None if number < 30 else 1 + number % 2) for number in range(90)]
    append_images(lake, images, ingested_at=NOW)
    classes = [(1, "ak47", None, FOLDER), (2, "flag", None, FOLDER), (3, "flag", None, FOLDER)]
    append_rows(lake, CLASSES, classes)
    insert_requests(lake, range(20))
    return lake


def content(number: int) -> bytes:
    return f"content {number}".encode()


def content_sha256(number: int) -> str:
    return hashlib.sha256(content(number)).hexdigest()


def insert_requests(lake: Lake, numbers: Iterable[int], model: str | None = "model") -> None:
    prediction = (model, "1", 1, 0.5)
    rows = [
        (path(number), content_sha256(number), "b1", "folder", UNCERTAIN, *prediction, NOW, None, None)
        for number in numbers
    ]
    append_rows(lake, LABELING_REQUESTS, rows)


@pytest.fixture
def tracking(tmp_path: Path) -> str:
    return make_tracking(tmp_path)


@pytest.fixture
def registry(tracking: str) -> ModelRegistry:
    return ModelRegistry(tracking, "model")


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    folder = tmp_path / "annotations"
    folder.mkdir()
    return folder


def run(
    lake: Lake,
    registry: ModelRegistry,
    source: Path,
    minimum_new_labels: int = 1,
    rule: LabelRule = LabelRule.UNANIMOUS,
) -> ImportResult:
    return import_into(lake, registry, open_source(str(source), Settings.load()), minimum_new_labels, rule)


def write(file: Path, rows: Sequence[dict[str, Any]], minutes: int | None = None) -> Path:
    """Write a file of annotations, with a modification time in minutes after noon."""
    file.parent.mkdir(exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    if minutes is not None:
        time = (NOW + timedelta(minutes=minutes)).timestamp()
        os.utime(file, (time, time))
    return file


def labels(lake: Lake) -> dict[str, int]:
    rows = lake.read(LABELS).collect()
    assert len(rows) == len({row["path"] for row in rows})
    return {row["path"]: row["label"] for row in rows}


def outcomes(lake: Lake) -> dict[str, str]:
    return {row["path"]: row["outcome"] for row in lake.read(LABELING_REQUESTS).where("outcome IS NOT NULL").collect()}


@pytest.mark.slow
def test_agreement_is_counted_for_the_requesting_model_only(
    filled: Lake, registry: ModelRegistry, exports: Path
) -> None:
    insert_requests(filled, [20, 21], model="other")
    # Release 0.1.0 did not record the model.
    insert_requests(filled, [22], model=None)
    write(exports / "a.jsonl", [{"path": path(number), "label": 1} for number in (0, 20, 21, 22)])

    result = run(filled, registry, exports)

    assert (result.predicted, result.model_agreed) == (2, 2)
    assert len(outcomes(filled)) == 4


def test_annotations_become_labels_and_close_their_requests(
    filled: Lake, registry: ModelRegistry, exports: Path
) -> None:
    lines = f"{path(0)},1,ann,\n{path(1)},2,ann,no\n{path(2)},,ann,yes\n{path(4)},,ann,\n{path(5)},,,\n"
    (exports / "a.csv").write_text(f"path,label,annotator,skipped\n{lines}")
    write(exports / "b.jsonl", [{"path": path(3).replace("file:/", "file:///"), "name": "AK47", "service": "studio"}])
    (exports / "c.xlsx").write_text("")

    result = run(filled, registry, exports)

    assert labels(filled) == {path(0): 1, path(1): 2, path(3): 1}
    assert outcomes(filled) == {path(0): LABELED, path(1): LABELED, path(2): SKIPPED, path(3): LABELED}
    assert {row["source"] for row in filled.read(LABELS).collect()} == {"file", "studio"}
    assert (result.files, result.imported, result.conflicts) == (2, 4, [])
    assert (result.labeled, result.skips, result.unfinished) == (3, 1, 1)
    assert [(rejection.place, rejection.outcome) for rejection in result.rejected] == [("a.csv, line 5", Outcome.EMPTY)]
    assert {suffix: files.example for suffix, files in result.others.items()} == {".xlsx": "c.xlsx"}
    assert (result.predicted, result.model_agreed, result.skipped) == (3, 2, 1)


@pytest.mark.slow
def test_annotations_of_copies_become_labels_of_their_images(
    filled: Lake, registry: ModelRegistry, exports: Path
) -> None:
    copies = [copy_name(content_sha256(number), path(number)) for number in (0, 1)]
    url = "AmlDatastore://to_label/b1/"
    write(exports / "a.jsonl", [{"image_url": url + name, "label": "ak47"} for name in [*copies, "images/none.jpg"]])
    (exports / "b.csv").write_text(f"Url,Label\n{url}{copies[0]},ak47\n")
    # Label Studio keeps the name of an uploaded copy behind a prefix, but not its batch.
    uploaded = [copy_name(content_sha256(2), path(2)).rpartition("/")[2], f"{16 * '0'}-2.jpg"]
    choice = {"type": "choices", "from_name": "choice", "value": {"choices": ["ak47"]}}
    tasks = [
        {"data": {"image": f"/data/upload/1/1a2b3c4d-{name}"}, "annotations": [{"id": 7, "result": [choice]}]}
        for name in uploaded
    ]
    (exports / "c.json").write_text(json.dumps(tasks))

    result = run(filled, registry, exports)

    assert labels(filled) == {path(0): 1, path(1): 1, path(2): 1}
    assert {(row["service"], row["batch"]) for row in filled.read(ANNOTATIONS).collect()} == {
        ("azure_ml", "b1"),
        ("label_studio", "b1"),
    }
    assert (result.read, result.imported) == (4, 3)
    assert sorted(result.rejected, key=lambda rejection: rejection.place) == [
        Rejection("a.jsonl, line 3", UNKNOWN_COPY, retryable=True),
        Rejection("c.json, task 2, annotation 1", UNKNOWN_COPY, retryable=True),
    ]


@pytest.mark.slow
def test_annotation_of_a_replaced_file_is_history(filled: Lake, registry: ModelRegistry, exports: Path) -> None:
    write(exports / "a.jsonl", [{"path": path(0), "label": 1}, {"path": path(1), "label": 1}])
    run(filled, registry, exports)
    before = count_new_labels(filled, None)

    replace_image(filled, path(0), b"another picture", None)
    after = count_new_labels(filled, None)
    write(exports / "b.jsonl", [{"path": path(0), "label": 2}])
    run(filled, registry, exports)

    assert (before, after) == (62, 61)
    rows = {(row["path"], row["content_sha256"]): row["label"] for row in filled.read(LABELS).collect()}
    assert rows == {
        (path(0), content_sha256(0)): 1,
        (path(0), hashlib.sha256(b"another picture").hexdigest()): 2,
        (path(1), content_sha256(1)): 1,
    }


@pytest.mark.slow
def test_annotation_of_a_batch_labels_the_content_that_was_sent(
    filled: Lake, registry: ModelRegistry, exports: Path
) -> None:
    replace_image(filled, path(0), b"another picture", None)
    write(exports / "a.jsonl", [{"path": path(0), "label": 1, "batch": "b1"}])

    run(filled, registry, exports)

    (row,) = filled.read(LABELS).collect()
    assert row["content_sha256"] == content_sha256(0)
    assert outcomes(filled) == {path(0): LABELED}


@pytest.mark.slow
def test_rereading_an_export_changes_no_table(filled: Lake, registry: ModelRegistry, exports: Path) -> None:
    given_annotations: list[dict[str, Any]] = [
        {"path": path(0), "label": 1},
        {"path": path(1), "skipped": True},
        {"path": path(2), "label": 2, "annotation_id": "7"},
    ]
    export = write(exports / "a.jsonl", given_annotations)
    run(filled, registry, exports)
    tables = (ANNOTATIONS, LABELS, LABELING_REQUESTS)
    before = [filled.version(table) for table in tables]

    again = run(filled, registry, exports)
    write(export, given_annotations)
    rewritten = run(filled, registry, exports)

    assert (again.files, again.unchanged_files, again.read) == (0, 1, 0)
    assert (rewritten.files, rewritten.unchanged_files, rewritten.read, rewritten.imported) == (1, 0, 3, 0)
    assert [filled.version(table) for table in tables] == before


@pytest.mark.slow
def test_newest_export_counts_where_annotations_have_no_times(
    filled: Lake, registry: ModelRegistry, exports: Path
) -> None:
    # Neither the names nor the order of writing agree with the modification times.
    write(exports / "b.jsonl", [{"path": path(0), "label": 1}, {"path": path(1), "label": 1}], minutes=1)
    write(exports / "a.jsonl", [{"path": path(0), "label": 2}], minutes=2)
    write(exports / "c.jsonl", [{"path": path(0), "label": 1}], minutes=3)
    first = run(filled, registry, exports)
    seen = [labels(filled)]
    for minutes, label in ((4, 2), (5, 1)):
        write(exports / f"{minutes}.jsonl", [{"path": path(0), "label": label}], minutes=minutes)
        run(filled, registry, exports)
        seen.append(labels(filled))
    write(exports / "late.jsonl", [{"path": path(0), "label": 2}], minutes=0)
    late = run(filled, registry, exports)
    seen.append(labels(filled))

    assert (first.read, first.imported, late.imported) == (4, 2, 0)
    assert seen == [{path(0): label, path(1): 1} for label in (1, 2, 1, 1)]


@pytest.mark.slow
def test_undone_annotations_do_not_count_and_are_not_imported_again(
    filled: Lake, registry: ModelRegistry, exports: Path
) -> None:
    def given(number: int, label: int, annotator: str) -> dict[str, Any]:
        return {"path": path(number), "label": label, "annotator": annotator}

    by_bob = [given(1, 1, "bob"), given(2, 2, "bob")]
    write(exports / "a.jsonl", [given(0, 1, "ann"), given(1, 1, "ann"), *by_bob], minutes=0)
    run(filled, registry, exports)
    by_ann = Selection.parse(batch="", annotator="ann", since="2026-05-01")

    planned = undo(filled, by_ann, dry_run=True)
    labels_after_dry_run = labels(filled)
    first, second = undo(filled, by_ann), undo(filled, by_ann)

    assert (planned.annotations, planned.images, labels_after_dry_run) == (2, 2, {path(0): 1, path(1): 1, path(2): 2})
    assert (first, second) == (Undone(2, 2, labels=1, requests=1), Undone(0, 2))
    assert labels(filled) == {path(1): 1, path(2): 2}
    assert outcomes(filled) == {path(1): LABELED, path(2): LABELED}
    assert filled.read(LABELING_REQUESTS).where("completed_at IS NOT NULL").count() == 2

    # The service exports everything again. Ann has changed her mind about one image.
    write(exports / "b.jsonl", [given(0, 2, "ann"), given(1, 1, "ann"), *by_bob], minutes=60)
    assert run(filled, registry, exports).imported == 1
    assert labels(filled) == {path(0): 2, path(1): 1, path(2): 2}

    # Bob's annotations name no batch, but the batch b1 requested his images.
    assert undo(filled, Selection(batch="b1", annotator="bob")) == Undone(2, 2, labels=2, requests=2)
    assert labels(filled) == {path(0): 2}
    with pytest.raises(InputError, match=r"^--annotator: no annotation of 'amn'\. Did you mean 'ann'\?"):
        undo(filled, Selection(annotator="amn"))


@pytest.mark.slow
def test_edited_classes_change_the_labels_by_people(filled: Lake, registry: ModelRegistry, exports: Path) -> None:
    def given(number: int, annotator: str, **fields: Any) -> dict[str, Any]:
        return {"path": path(number), "annotator": annotator, **fields}

    rows = [given(0, "ann", label=2), given(0, "bob", label=3), given(1, "cid", label=1), given(2, "ann", name="flag")]
    write(exports / "a.jsonl", rows)
    before = run(filled, registry, exports)

    edit_classes(filled, lambda classes: classes.merge(["3"], "2"))
    merged, outcome_of_merge = labels(filled), outcomes(filled)
    after_merge = run(filled, registry, exports)
    edit_classes(filled, lambda classes: classes.retire(["ak47"]))
    retired, outcome_of_retirement = labels(filled), outcomes(filled)
    write(exports / "b.jsonl", [given(3, "dan", name="ak47"), given(4, "dan", label=1)])
    after_retirement = run(filled, registry, exports)
    listed = {each.lake_class.label: (each.images, each.lake_class.state) for each in list_classes(filled)}
    edit_classes(filled, lambda classes: classes.restore(["1", "3"]))
    after_restoration = labels(filled)
    edit_classes(filled, lambda classes: classes.rename("ak47", "rifle"))
    write(exports / "c.jsonl", [given(5, "eve", name="rifle"), given(6, "eve", name="ak47")])
    after_renaming = run(filled, registry, exports)

    assert before.rejected[0].reason.startswith("name: 2 classes have the name 'flag'.")
    assert (merged, outcome_of_merge) == ({path(0): 2, path(1): 1}, {path(0): LABELED, path(1): LABELED})
    # A name of classes that were merged is no longer ambiguous.
    assert (after_merge.rejected, after_merge.imported) == ([], 1)
    assert retired == {path(0): 2, path(2): 2}
    assert outcome_of_retirement == {path(0): LABELED, path(2): LABELED}
    assert [rejection.reason for rejection in after_retirement.rejected] == [
        f"{field} is retired. Give another class, or run `image-pipelines classes restore`."
        for field in ("name: class 'ak47'", "label: class 1")
    ]
    assert listed == {1: (0, "retired"), 2: (32, "in use"), 3: (0, "merged into 2")}
    assert after_restoration == {path(1): 1, path(2): 2}
    assert outcomes(filled)[path(0)] == CONFLICTING
    # The rejected annotations of the retired class came in again, and both names mean the class.
    assert (after_renaming.rejected, after_renaming.new_classes) == ([], {})
    assert labels(filled) == after_restoration | {path(number): 1 for number in (3, 4, 5, 6)}


@pytest.mark.slow
def test_export_that_names_a_missing_image_is_read_again(filled: Lake, registry: ModelRegistry, exports: Path) -> None:
    write(exports / "a.jsonl", [{"path": "file:/landing/late.jpg", "label": 1}])
    (exports / "b.jsonl").write_text("{}\n")

    first = run(filled, registry, exports)
    insert_images(filled, {"file:/landing/late.jpg": b"late"})
    second = run(filled, registry, exports)
    third = run(filled, registry, exports)

    assert {rejection.place for rejection in first.rejected} == {"a.jsonl, line 1", "b.jsonl, line 1"}
    # A malformed file is reported once. A corrected file is a new version, and is read again.
    assert (second.files, second.imported, second.rejected) == (1, 1, [])
    assert (third.files, third.unchanged_files) == (0, 2)


@pytest.mark.slow
def test_path_with_parent_folders_is_rejected_once(filled: Lake, registry: ModelRegistry, exports: Path) -> None:
    upwards = path(0).replace("landing/", "landing/../landing/")
    write(exports / "a.jsonl", [{"path": upwards, "label": 1}])
    (exports / "b.csv").write_text(f"path,label\n{upwards},1\n")

    first = run(filled, registry, exports)
    second = run(filled, registry, exports)

    assert {rejection.place for rejection in first.rejected} == {"a.jsonl, line 1", "b.csv, line 2"}
    assert {rejection.reason for rejection in first.rejected} == {
        "path: contains '..'. Copy the path from the manifest."
    }
    assert (second.files, second.unchanged_files, second.rejected) == (0, 2, [])
    assert labels(filled) == {}


@pytest.mark.slow
def test_unknown_class_is_reported_before_it_enters_the_next_training_set(
    filled: Lake, registry: ModelRegistry, exports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    markup = "<b>newt</b>"
    given_annotations: list[dict[str, Any]] = [
        {"path": path(0), "name": "newt"},
        {"path": path(1), "name": "zebra & co"},
        {"path": path(2), "name": "Newt"},
        {"path": path(3), "label": 400},
        {"path": "file:/elsewhere.jpg", "name": "not ours"},
        {"path": path(5), "name": markup},
        {"path": path(6), "label": 401, "name": "=1+1"},
        {"path": path(7), "label": 2, "name": "ak47"},
        {"path": path(8), "name": "cta", "annotation_id": "8"},
    ]
    file = write(exports / "a.jsonl", given_annotations)
    monkeypatch.setenv(RUN_ID_VARIABLE, "one")

    reported = run(filled, registry, exports)
    # Nobody can have read the report when a task is repeated.
    repeated = run(filled, registry, exports)
    seen = labels(filled)
    monkeypatch.setenv(RUN_ID_VARIABLE, "two")
    write(file, [*given_annotations[:-1], {"path": path(8), "name": "newt", "annotation_id": "8"}])
    result = run(filled, registry, exports)
    again = run(filled, registry, write(exports / "b.jsonl", [{"path": path(4), "name": "newt"}]))
    training_set = build_training_set(filled).training_set

    newt, zebra = FOLDER_LABELS_END, FOLDER_LABELS_END + 1
    waiting = {"newt": 2, "zebra & co": 1, "400": 1, "cta": 1}
    assert (reported.waiting, reported.new_classes, seen) == (waiting, {}, {})
    assert (repeated.waiting, repeated.new_classes) == (waiting, {})
    assert (result.waiting, result.new_classes) == ({}, {400: "400", zebra: "zebra & co", newt: "newt"})
    for each in (reported, result):
        places = {rejection.place for rejection in each.rejected}
        assert places == {f"a.jsonl, line {line}" for line in (5, 6, 7, 8)}
    assert again.new_classes == {}
    assert labels(filled) == {
        **{path(number): newt for number in (0, 2, 4, 8)},
        path(1): zebra,
        path(3): 400,
    }
    assert {each.label: each.name for each in training_set.classes} == {
        1: "ak47",
        2: "flag",
        400: "400",
        zebra: "zebra & co",
        newt: "newt",
    }
    for each in (reported, result):
        write_report(each, str(tmp_path / "report.html"))
        page = (tmp_path / "report.html").read_text()
        assert "zebra &amp; co" in page
        assert markup not in page


def test_invalid_annotations_are_rejected_and_the_others_imported(
    filled: Lake, registry: ModelRegistry, exports: Path
) -> None:
    good = {"path": path(0), "label": 1}
    bad: list[dict[str, Any]] = [
        {"path": "file:/elsewhere.jpg", "label": 1},
        {"path": path(1), "name": "flag"},
        {"path": path(1), "label": "x"},
    ]
    write(exports / "a.jsonl", [*bad, good])

    result = run(filled, registry, exports)

    assert labels(filled) == {path(0): 1}
    assert {rejection.place: rejection.reason for rejection in result.rejected}.items() >= {
        "a.jsonl, line 1": UNKNOWN_PATH,
        "a.jsonl, line 2": "name: 2 classes have the name 'flag'. Give the class id as label.",
    }.items()
    assert len(result.rejected) == len(bad)


@pytest.mark.slow
def test_conflicting_annotations_are_reported_and_give_no_label(
    filled: Lake, registry: ModelRegistry, exports: Path
) -> None:
    write(exports / "a.jsonl", [{"path": path(0), "label": 1, "annotator": "ann"}, {"path": path(1), "label": 1}])
    run(filled, registry, exports)
    write(exports / "b.jsonl", [{"path": path(0), "label": 2, "annotator": "bob"}])

    result = run(filled, registry, exports)
    unchanged = run(filled, registry, exports)

    assert labels(filled) == {path(1): 1}
    assert result.conflicts == unchanged.conflicts == [(path(0), [1, 2])]
    assert outcomes(filled)[path(0)] == CONFLICTING


@pytest.mark.slow
def test_changed_rule_applies_to_all_images(filled: Lake, registry: ModelRegistry, exports: Path) -> None:
    for minutes, (annotator, label) in enumerate((("ann", 1), ("bob", 1), ("cyd", 2))):
        given_annotations = {"path": path(0), "label": label, "annotator": annotator}
        write(exports / f"{annotator}.jsonl", [given_annotations], minutes=minutes)
    run(filled, registry, exports)
    seen = {}

    for rule in (LabelRule.MAJORITY, LabelRule.LATEST, LabelRule.UNANIMOUS):
        result = run(filled, registry, exports, rule=rule)
        assert result.files == 0
        seen[rule] = labels(filled).get(path(0)), outcomes(filled)[path(0)], len(result.conflicts)

    assert seen == {
        LabelRule.MAJORITY: (1, LABELED, 0),
        LabelRule.LATEST: (2, LABELED, 0),
        LabelRule.UNANIMOUS: (None, CONFLICTING, 1),
    }


@pytest.mark.slow
def test_import_applies_its_rule(filled: Lake, exports: Path, tracking: str) -> None:
    given_annotations = [
        {"path": path(0), "label": label, "annotator": name} for name, label in (("a", 1), ("b", 1), ("c", 2))
    ]
    write(exports / "a.jsonl", given_annotations)
    named = Settings.load(lake=filled.root, mlflow_tracking_uri=tracking, model_name="model")

    result = import_annotations(named, str(exports), rule=LabelRule.MAJORITY)

    assert (result.rule, result.conflicts) == (LabelRule.MAJORITY, [])
    assert labels(filled) == {path(0): 1}


@pytest.mark.slow
def test_two_anonymous_annotations_of_one_image_conflict(filled: Lake, registry: ModelRegistry, exports: Path) -> None:
    (exports / "a.csv").write_text(f"path,label\n{path(0)},1\n{path(0)},2\n")

    assert run(filled, registry, exports).conflicts == [(path(0), [1, 2])]
    assert labels(filled) == {}


@pytest.mark.slow
def test_latest_annotation_of_a_person_counts(filled: Lake, registry: ModelRegistry, exports: Path) -> None:
    write(
        exports / "a.jsonl",
        [
            {"path": path(0), "label": 2, "annotator": "ann", "annotated_at": "2026-05-02T00:00:00Z"},
            {"path": path(0), "label": 1, "annotator": "ann", "annotated_at": "2026-05-01T00:00:00Z"},
        ],
    )

    run(filled, registry, exports)

    assert labels(filled) == {path(0): 2}


@pytest.mark.slow
def test_repeated_annotation_id_in_a_file_is_reported(filled: Lake, registry: ModelRegistry, exports: Path) -> None:
    rows = [{"path": path(number), "label": 1, "annotation_id": "7"} for number in (0, 0, 1)]
    write(exports / "a.jsonl", rows)

    result = run(filled, registry, exports)

    assert [(rejection.place, rejection.reason) for rejection in result.rejected] == [("a.jsonl, line 3", REPEATED_ID)]
    assert labels(filled) == {path(0): 1}


@pytest.mark.slow
def test_changed_annotation_under_an_existing_id_is_reported(
    filled: Lake, registry: ModelRegistry, exports: Path
) -> None:
    first = [{"path": path(number), "label": 1, "annotation_id": str(number)} for number in range(3)]
    run(filled, registry, write(exports / "a.jsonl", first))
    again = [{**first[0], "label": 2}, {**first[1], "path": path(5)}, first[2]]

    result = run(filled, registry, write(exports / "b.jsonl", again))

    assert sorted((rejection.place, rejection.reason) for rejection in result.rejected) == [
        ("b.jsonl, line 1", REPEATED_ID),
        ("b.jsonl, line 2", REPEATED_ID),
    ]
    assert labels(filled) == {path(0): 1, path(1): 1, path(2): 1}


def test_interrupted_import_is_completed_by_the_next(filled: Lake, registry: ModelRegistry, exports: Path) -> None:
    write(exports / "a.jsonl", [{"path": path(0), "label": 1}])
    run(filled, registry, exports)
    # The state after a kill: the annotations are committed, but nothing that a run writes later.
    filled.files.remove(note_uri(filled.root, NAME))
    for table in (LABELS, LABELING_REQUESTS):
        filled.delta(table).restoreToVersion(filled.version(table) - 1)
    assert (labels(filled), outcomes(filled)) == ({}, {})

    result = run(filled, registry, exports)

    assert result.imported == 0
    assert (labels(filled), outcomes(filled)) == ({path(0): 1}, {path(0): LABELED})


def test_new_labels_are_counted_against_the_champions_training_set(
    filled: Lake, registry: ModelRegistry, exports: Path, tracking: str, tmp_path: Path
) -> None:
    built = build_training_set(filled).training_set
    before = run(filled, registry, exports)
    model = log_classifier(tracking, tmp_path / "artifacts", random_classifier([1, 2]))
    version = registry.create_version(model.run_id, model.model_uri, {TRAINING_SET_URI_TAG: built.uri})
    registry.set_alias(CHAMPION, version.version)
    without_new = run(filled, registry, exports)
    write(exports / "a.jsonl", [{"path": path(0), "label": 1}, {"path": path(40), "label": 2}])
    two = run(filled, registry, exports, minimum_new_labels=3)
    write(exports / "b.jsonl", [{"path": path(1), "label": 1}])
    three = run(filled, registry, exports, minimum_new_labels=3)

    assert (before.new_labels, before.retrain) == (60, True)
    assert (without_new.new_labels, without_new.retrain) == (0, False)
    # One image had no label, and the folder of the other gives another class.
    assert (two.new_labels, two.retrain) == (2, False)
    assert (three.new_labels, three.retrain) == (3, True)


def test_a_deleted_training_set_of_the_champion_is_named_in_one_sentence(
    filled: Lake, registry: ModelRegistry, exports: Path, tracking: str, tmp_path: Path
) -> None:
    gone = f"{filled.root}/training_sets/gone"
    model = log_classifier(tracking, tmp_path / "artifacts", random_classifier([1, 2]))
    version = registry.create_version(model.run_id, model.model_uri, {TRAINING_SET_URI_TAG: gone})
    registry.set_alias(CHAMPION, version.version)
    write(exports / "a.jsonl", [{"path": path(0), "label": 1}])

    with pytest.raises(InputError, match=rf"^training_set: '{gone}', which version 1 .*, is gone.* Restore the folder"):
        run(filled, registry, exports)

    assert labels(filled) == {}


def test_report_lists_rejected_and_conflicting_annotations(
    filled: Lake, registry: ModelRegistry, exports: Path, tmp_path: Path
) -> None:
    write(
        exports / "a.jsonl",
        [
            {"path": path(0), "label": 1},
            {"path": path(1), "name": "flag"},
            {"path": path(2), "label": 1, "annotator": "a"},
        ],
    )
    write(exports / "b.jsonl", [{"path": path(2), "label": 2, "annotator": "b"}])

    write_report(run(filled, registry, exports), str(tmp_path / "report.html"))

    page = (tmp_path / "report.html").read_text()
    assert "2 classes have the name" in page
    assert "a.jsonl, line 2" in page
    assert "ak47, flag" in page


def test_anonymous_annotations_count_as_different_people(spark: SparkSession) -> None:
    rows = [("s", str(number), path(0), "hash", label, "", NOW, None) for number, label in enumerate((1, 1, 2))]

    (row,) = decide_labels(frame(spark, rows, ANNOTATIONS.columns), LabelRule.MAJORITY).collect()

    assert (row["outcome"], row["label"]) == (LABELED, 1)


def test_people_agree_if_latest_annotations_of_two_or_more_are_equal(spark: SparkSession) -> None:
    given_annotations = (
        *((0, "ann", 1), (0, "bob", 1), (0, "cyd", None)),
        *((1, "ann", 1), (1, "bob", 2)),
        *((2, "ann", 1), (2, "ann", 1)),
        *((3, "", 2), (3, "", 2)),
        *((4, "ann", 1), (4, "ann", 2)),
    )
    rows = [
        ("s", str(key), path(image), "hash", label, who, NOW, None)
        for key, (image, who, label) in enumerate(given_annotations)
    ]
    later = NOW + timedelta(minutes=1)
    changed_mind = [("s", f"late {image}", path(image), "hash", 2, "ann", later, None) for image in (0, 1)]

    def count_agreed(annotations: list[AnnotationRow]) -> tuple[int, int]:
        decided = (
            decide_labels(frame(spark, annotations, ANNOTATIONS.columns), LabelRule.UNANIMOUS)
            .where("people > 1")
            .collect()
        )
        return len(decided), sum(row["classes"] == 1 for row in decided)

    before = count_agreed(rows)
    after = count_agreed([*rows, *changed_mind])

    # Images 0, 1 and 3: only ann labels images 2 and 4. Then ann disagrees on image 0 and agrees on image 1.
    assert before == (3, 2)
    assert after == (3, 2)
    assert count_agreed([*rows, changed_mind[0]]) == (3, 1)


_annotations = st.tuples(
    st.integers(0, 2), st.sampled_from([None, 1, 2, 3]), st.sampled_from(["", "a", "b", "c"]), st.integers(0, 3)
)


@given(given_annotations=st.lists(_annotations, min_size=1, max_size=12), data=st.data())
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rules_match_their_definition_in_any_order_of_annotations(
    spark: SparkSession, given_annotations: list[tuple[int, int | None, str, int]], data: st.DataObject
) -> None:
    rows = [
        ("s", str(number), path(image), "hash", label, annotator, NOW.replace(minute=minute), None)
        for number, (image, label, annotator, minute) in enumerate(given_annotations)
    ]
    shuffled = frame(spark, data.draw(st.permutations(rows)), ANNOTATIONS.columns)

    decided = reduce(
        DataFrame.union, (decide_labels(shuffled, rule).withColumn("rule", F.lit(str(rule))) for rule in LabelRule)
    )

    found = {(row["path"], row["rule"]): (row["outcome"], row["label"]) for row in decided.collect()}
    assert found == {
        (path(image), rule): expected([row for row in rows if row[2] == path(image)], rule)
        for image in {image for image, *_ in given_annotations}
        for rule in LabelRule
    }


def expected(rows: list[AnnotationRow], rule: LabelRule) -> tuple[str, int | None]:
    """Return the outcome and the label of an image by the definition of a rule."""
    newest = {annotator: max(row[6] for row in rows if row[5] == annotator) for *_, annotator, _, _ in rows}
    last = [row for row in rows if row[6] == newest[row[5]] and row[4] is not None]
    classes = {row[4] for row in last}
    if not classes:
        return SKIPPED, None
    if rule == LabelRule.LATEST:
        classes = {row[4] for row in last if row[6] == max(row[6] for row in last)}
    elif rule == LabelRule.MAJORITY:
        votes = {label: len({row[5] or row[1] for row in last if row[4] == label}) for label in classes}
        classes = {label for label, count in votes.items() if count == max(votes.values())}
    return (LABELED, classes.pop()) if len(classes) == 1 else (CONFLICTING, None)

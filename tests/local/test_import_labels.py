"""Import: what people answered becomes labels, each answer once."""

import hashlib
import json
import os
from collections.abc import Sequence
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
from components.export_for_labeling.copies import copy_name
from components.import_labels.annotations import REPEATED_ID
from components.import_labels.classes import FIRST_NEW_LABEL
from components.import_labels.copies import UNKNOWN_COPY
from components.import_labels.formats import Rejected
from components.import_labels.import_answers import ImportResult, import_answers, import_into
from components.import_labels.note import note_path
from components.import_labels.reading import UNKNOWN_PATH
from components.import_labels.report import write_report
from components.import_labels.rule import CONFLICTING, LABELLED, SKIPPED, Rule, judge
from components.import_labels.sources import open_source
from components.lake import Lake, frame
from components.lake.tables import ANNOTATIONS, CLASSES, IMAGES, LABELING_REQUESTS, LABELS
from components.register_model.registry import CHAMPION, TRAINING_SET_URI_TAG, ModelRegistry
from components.settings import Settings
from components.storage import files
from tests.local.saved_model_factory import log_classifier, random_classifier
from tests.local.scored_lake import insert_images

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def path(number: int) -> str:
    return f"file:/landing/{number}.jpg"


@pytest.fixture
def filled(lake: Lake) -> Lake:
    """Thirty images without a label, sixty with one, three classes, and requests for the first twenty."""
    contents = [f"content {number}".encode() for number in range(90)]
    images = [
        (path(number), NOW, len(content), content, hashlib.sha256(content).hexdigest(), label, NOW.date(), NOW)
        for number, content in enumerate(contents)
        for label in [None if number < 30 else 1 + number % 2]
    ]
    classes = [(1, "ak47", None), (2, "flag", None), (3, "flag", None)]
    requests = [(path(number), "b1", "folder", "doubtful", "1", 1, 0.5, NOW, None, None) for number in range(20)]
    for table, rows in ((IMAGES, images), (CLASSES, classes), (LABELING_REQUESTS, requests)):
        lake.insert_new(table, frame(lake.spark, rows, table.columns))
    return lake


@pytest.fixture
def registry(tmp_path: Path) -> ModelRegistry:
    return ModelRegistry(f"sqlite:///{tmp_path / 'mlflow.db'}", "model")


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    folder = tmp_path / "answers"
    folder.mkdir()
    return folder


def run(
    lake: Lake, registry: ModelRegistry, source: Path, minimum_new_labels: int = 1, rule: Rule = Rule.UNANIMOUS
) -> ImportResult:
    return import_into(lake, registry, open_source(str(source), Settings.load()), minimum_new_labels, rule)


def write(file: Path, rows: Sequence[dict[str, Any]], minutes: int | None = None) -> Path:
    """Write a file of answers, so many minutes after noon."""
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


def test_answers_become_labels_and_close_their_requests(filled: Lake, registry: ModelRegistry, answers: Path) -> None:
    (answers / "a.csv").write_text(f"path,label,annotator\n{path(0)},1,ann\n{path(1)},2,ann\n{path(2)},,ann\n")
    write(answers / "b.jsonl", [{"path": path(3).replace("file:/", "file:///"), "name": "ak47", "service": "studio"}])

    result = run(filled, registry, answers)

    assert labels(filled) == {path(0): 1, path(1): 2, path(3): 1}
    assert outcomes(filled) == {path(0): LABELLED, path(1): LABELLED, path(2): SKIPPED, path(3): LABELLED}
    assert {row["source"] for row in filled.read(LABELS).collect()} == {"file", "studio"}
    assert (result.files, result.imported, result.rejected, result.conflicts) == (2, 4, [], [])
    assert (result.asked, result.agreed, result.skipped) == (3, 2, 1)


def test_an_export_that_names_copies_becomes_labels_of_their_images(
    filled: Lake, registry: ModelRegistry, answers: Path
) -> None:
    copies = [copy_name(hashlib.sha256(f"content {number}".encode()).hexdigest(), path(number)) for number in (0, 1)]
    url = "AmlDatastore://to_label/b1/"
    write(answers / "a.jsonl", [{"image_url": url + name, "label": "ak47"} for name in [*copies, "images/none.jpg"]])
    (answers / "b.csv").write_text(f"Url,Label\n{url}{copies[0]},ak47\n")

    result = run(filled, registry, answers)

    assert labels(filled) == {path(0): 1, path(1): 1}
    assert {(row["service"], row["batch"]) for row in filled.read(ANNOTATIONS).collect()} == {("azure_ml", "b1")}
    assert (result.read, result.imported) == (3, 2)
    assert result.rejected == [Rejected("a.jsonl, line 3", UNKNOWN_COPY, waits=True)]


def test_an_export_is_read_once_and_read_again_changes_no_table(
    filled: Lake, registry: ModelRegistry, answers: Path
) -> None:
    said: list[dict[str, Any]] = [
        {"path": path(0), "label": 1},
        {"path": path(1)},
        {"path": path(2), "label": 2, "annotation_id": "7"},
    ]
    export = write(answers / "a.jsonl", said)
    run(filled, registry, answers)
    tables = (ANNOTATIONS, LABELS, LABELING_REQUESTS)
    before = [filled.version(table) for table in tables]

    again = run(filled, registry, answers)
    write(export, said)
    anew = run(filled, registry, answers)

    assert (again.files, again.known_files, again.read) == (0, 1, 0)
    assert (anew.files, anew.known_files, anew.read, anew.imported) == (1, 0, 3, 0)
    assert [filled.version(table) for table in tables] == before


def test_of_exports_that_tell_no_times_the_newest_counts_however_often_minds_change(
    filled: Lake, registry: ModelRegistry, answers: Path
) -> None:
    # By their names and as they were made, they are not in the order of their times.
    write(answers / "b.jsonl", [{"path": path(0), "label": 1}, {"path": path(1), "label": 1}], minutes=1)
    write(answers / "a.jsonl", [{"path": path(0), "label": 2}], minutes=2)
    write(answers / "c.jsonl", [{"path": path(0), "label": 1}], minutes=3)
    first = run(filled, registry, answers)
    seen = [labels(filled)]
    for minutes, label in ((4, 2), (5, 1)):
        write(answers / f"{minutes}.jsonl", [{"path": path(0), "label": label}], minutes=minutes)
        run(filled, registry, answers)
        seen.append(labels(filled))
    write(answers / "late.jsonl", [{"path": path(0), "label": 2}], minutes=0)
    late = run(filled, registry, answers)
    seen.append(labels(filled))

    assert (first.read, first.imported, late.imported) == (4, 2, 0)
    assert seen == [{path(0): label, path(1): 1} for label in (1, 2, 1, 1)]


def test_an_export_that_speaks_of_an_image_before_the_lake_has_it_is_read_again(
    filled: Lake, registry: ModelRegistry, answers: Path
) -> None:
    write(answers / "a.jsonl", [{"path": "file:/landing/late.jpg", "label": 1}])
    (answers / "b.jsonl").write_text("{}\n")

    first = run(filled, registry, answers)
    insert_images(filled, {"file:/landing/late.jpg": b"late"})
    second = run(filled, registry, answers)
    third = run(filled, registry, answers)

    assert {each.where for each in first.rejected} == {"a.jsonl, line 1", "b.jsonl, line 1"}
    # What is wrong with a file itself is told once: mended, it is another version of the file.
    assert (second.files, second.imported, second.rejected) == (1, 1, [])
    assert (third.files, third.known_files) == (0, 2)


def test_a_path_that_leads_upwards_is_no_spelling_of_an_image_and_is_told_once(
    filled: Lake, registry: ModelRegistry, answers: Path
) -> None:
    upwards = path(0).replace("landing/", "landing/../landing/")
    write(answers / "a.jsonl", [{"path": upwards, "label": 1}])
    (answers / "b.csv").write_text(f"path,label\n{upwards},1\n")

    first = run(filled, registry, answers)
    second = run(filled, registry, answers)

    assert {each.where for each in first.rejected} == {"a.jsonl, line 1", "b.csv, line 2"}
    assert {each.reason for each in first.rejected} == {"path: has '..' in it; write it as the manifest does"}
    assert (second.files, second.known_files, second.rejected) == (0, 2, [])
    assert labels(filled) == {}


def test_a_class_that_nobody_knew_is_a_new_class_and_in_the_next_training_set(
    filled: Lake, registry: ModelRegistry, answers: Path, tmp_path: Path
) -> None:
    markup = "<b>newt</b>"
    said: list[dict[str, Any]] = [
        {"path": path(0), "name": "newt"},
        {"path": path(1), "name": "zebra & co"},
        {"path": path(2), "name": "newt"},
        {"path": path(3), "label": 400},
        {"path": "file:/elsewhere.jpg", "name": "not ours"},
        {"path": path(5), "name": markup},
        {"path": path(6), "label": 401, "name": "=1+1"},
    ]
    write(answers / "a.jsonl", said)

    result = run(filled, registry, answers)
    again = run(filled, registry, write(answers / "b.jsonl", [{"path": path(4), "name": "newt"}]))
    training_set = build_training_set(filled, 1).training_set

    newt, zebra = FIRST_NEW_LABEL, FIRST_NEW_LABEL + 1
    assert result.new_classes == {400: "400", zebra: "zebra & co", newt: "newt"}
    assert {each.where for each in result.rejected} == {f"a.jsonl, line {line}" for line in (5, 6, 7)}
    assert again.new_classes == {}
    assert labels(filled) == {path(0): newt, path(1): zebra, path(2): newt, path(3): 400, path(4): newt}
    assert {each.label: each.name for each in training_set.classes} == {
        1: "ak47",
        2: "flag",
        400: "400",
        zebra: "zebra & co",
        newt: "newt",
    }
    write_report(result, str(tmp_path / "report.html"))
    page = (tmp_path / "report.html").read_text()
    assert "zebra &amp; co" in page
    assert markup not in page


def test_what_is_unknown_or_malformed_is_left_out_and_the_rest_goes_in(
    filled: Lake, registry: ModelRegistry, answers: Path
) -> None:
    good = {"path": path(0), "label": 1}
    bad: list[dict[str, Any]] = [
        {"path": "file:/elsewhere.jpg", "label": 1},
        {"path": path(1), "name": "flag"},
        {"path": path(1), "label": "x"},
    ]
    write(answers / "a.jsonl", [*bad, good])

    result = run(filled, registry, answers)

    assert labels(filled) == {path(0): 1}
    assert {each.where: each.reason for each in result.rejected}.items() >= {
        "a.jsonl, line 1": UNKNOWN_PATH,
        "a.jsonl, line 2": "2 classes have the name 'flag'",
    }.items()
    assert len(result.rejected) == len(bad)


def test_people_who_disagree_are_reported_and_give_no_label(
    filled: Lake, registry: ModelRegistry, answers: Path
) -> None:
    write(answers / "a.jsonl", [{"path": path(0), "label": 1, "annotator": "ann"}, {"path": path(1), "label": 1}])
    run(filled, registry, answers)
    write(answers / "b.jsonl", [{"path": path(0), "label": 2, "annotator": "bob"}])

    result = run(filled, registry, answers)
    without_news = run(filled, registry, answers)

    assert labels(filled) == {path(1): 1}
    assert result.conflicts == without_news.conflicts == [(path(0), [1, 2])]
    assert outcomes(filled)[path(0)] == CONFLICTING


def test_another_rule_judges_all_images_anew(filled: Lake, registry: ModelRegistry, answers: Path) -> None:
    for minutes, (annotator, label) in enumerate((("ann", 1), ("bob", 1), ("cyd", 2))):
        said = {"path": path(0), "label": label, "annotator": annotator}
        write(answers / f"{annotator}.jsonl", [said], minutes=minutes)
    run(filled, registry, answers)
    seen = {}

    for rule in (Rule.MAJORITY, Rule.LATEST, Rule.UNANIMOUS):
        result = run(filled, registry, answers, rule=rule)
        assert result.files == 0
        seen[rule] = labels(filled).get(path(0)), outcomes(filled)[path(0)], len(result.conflicts)

    assert seen == {
        Rule.MAJORITY: (1, LABELLED, 0),
        Rule.LATEST: (2, LABELLED, 0),
        Rule.UNANIMOUS: (None, CONFLICTING, 1),
    }


def test_a_rule_is_given_by_its_name(filled: Lake, answers: Path, tmp_path: Path) -> None:
    said = [{"path": path(0), "label": label, "annotator": name} for name, label in (("a", 1), ("b", 1), ("c", 2))]
    write(answers / "a.jsonl", said)
    named = Settings.load(
        lake=filled.root, mlflow_tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}", model_name="model"
    )

    result = import_answers(named, str(answers), label_rule="majority")

    assert (result.rule, result.conflicts) == (Rule.MAJORITY, [])
    assert labels(filled) == {path(0): 1}


def test_a_rule_that_there_is_not_is_named(answers: Path) -> None:
    with pytest.raises(
        InputError, match=r"^label_rule: 'most' is no rule\. Give one of latest, majority, unanimous\.$"
    ):
        import_answers(Settings.load(), str(answers), label_rule="most")


def test_two_answers_about_one_image_in_a_file_without_names_and_times_contradict_each_other(
    filled: Lake, registry: ModelRegistry, answers: Path
) -> None:
    (answers / "a.csv").write_text(f"path,label\n{path(0)},1\n{path(0)},2\n")

    assert run(filled, registry, answers).conflicts == [(path(0), [1, 2])]
    assert labels(filled) == {}


def test_the_last_word_of_a_person_counts(filled: Lake, registry: ModelRegistry, answers: Path) -> None:
    write(
        answers / "a.jsonl",
        [
            {"path": path(0), "label": 2, "annotator": "ann", "annotated_at": "2026-05-02T00:00:00Z"},
            {"path": path(0), "label": 1, "annotator": "ann", "annotated_at": "2026-05-01T00:00:00Z"},
        ],
    )

    run(filled, registry, answers)

    assert labels(filled) == {path(0): 2}


def test_an_id_that_stands_for_two_answers_is_reported(filled: Lake, registry: ModelRegistry, answers: Path) -> None:
    rows = [{"path": path(number), "label": 1, "annotation_id": "7"} for number in (0, 0, 1)]
    write(answers / "a.jsonl", rows)

    result = run(filled, registry, answers)

    assert [(each.where, each.reason) for each in result.rejected] == [("a.jsonl, line 3", REPEATED_ID)]
    assert labels(filled) == {path(0): 1}


def test_another_answer_under_a_known_id_is_reported(filled: Lake, registry: ModelRegistry, answers: Path) -> None:
    first = [{"path": path(number), "label": 1, "annotation_id": str(number)} for number in range(3)]
    run(filled, registry, write(answers / "a.jsonl", first))
    again = [{**first[0], "label": 2}, {**first[1], "path": path(5)}, first[2]]

    result = run(filled, registry, write(answers / "b.jsonl", again))

    assert sorted((each.where, each.reason) for each in result.rejected) == [
        ("b.jsonl, line 1", REPEATED_ID),
        ("b.jsonl, line 2", REPEATED_ID),
    ]
    assert labels(filled) == {path(0): 1, path(1): 1, path(2): 1}


def test_a_run_that_was_cut_off_after_the_annotations_is_completed_by_the_next(
    filled: Lake, registry: ModelRegistry, answers: Path
) -> None:
    write(answers / "a.jsonl", [{"path": path(0), "label": 1}])
    run(filled, registry, answers)
    # What a kill leaves: the annotations are committed, and what comes after them is as it was.
    files.remove(note_path(filled))
    for table in (LABELS, LABELING_REQUESTS):
        filled.delta(table).restoreToVersion(filled.version(table) - 1)
    assert (labels(filled), outcomes(filled)) == ({}, {})

    result = run(filled, registry, answers)

    assert result.imported == 0
    assert (labels(filled), outcomes(filled)) == ({path(0): 1}, {path(0): LABELLED})


def test_labels_are_counted_against_what_the_champion_learned(
    filled: Lake, registry: ModelRegistry, answers: Path, tmp_path: Path
) -> None:
    built = build_training_set(filled, 1).training_set
    before = run(filled, registry, answers)
    model = log_classifier(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "artifacts", random_classifier([1, 2]))
    version = registry.create_version(model.run_id, model.model_uri, {TRAINING_SET_URI_TAG: built.uri})
    registry.set_alias(CHAMPION, version.version)
    dry = run(filled, registry, answers)
    write(answers / "a.jsonl", [{"path": path(0), "label": 1}, {"path": path(40), "label": 2}])
    some = run(filled, registry, answers, minimum_new_labels=3)
    write(answers / "b.jsonl", [{"path": path(1), "label": 1}])
    enough = run(filled, registry, answers, minimum_new_labels=3)

    assert (before.new_labels, before.retrain) == (60, True)
    assert (dry.new_labels, dry.retrain) == (0, False)
    # One image that had no label, and one whose folder said something else.
    assert (some.new_labels, some.retrain) == (2, False)
    assert (enough.new_labels, enough.retrain) == (3, True)


def test_the_report_says_what_came_back_and_what_was_left_out(
    filled: Lake, registry: ModelRegistry, answers: Path, tmp_path: Path
) -> None:
    write(
        answers / "a.jsonl",
        [
            {"path": path(0), "label": 1},
            {"path": path(1), "name": "flag"},
            {"path": path(2), "label": 1, "annotator": "a"},
        ],
    )
    write(answers / "b.jsonl", [{"path": path(2), "label": 2, "annotator": "b"}])

    write_report(run(filled, registry, answers), str(tmp_path / "report.html"))

    page = (tmp_path / "report.html").read_text()
    assert "2 classes have the name" in page
    assert "a.jsonl, line 2" in page
    assert "ak47, flag" in page


def test_where_names_are_not_told_each_answer_is_somebodys(spark: SparkSession) -> None:
    rows = [("s", str(number), path(0), label, "", NOW, None) for number, label in enumerate((1, 1, 2))]

    (row,) = judge(frame(spark, rows, ANNOTATIONS.columns), Rule.MAJORITY).collect()

    assert (row["outcome"], row["label"]) == (LABELLED, 1)


def test_people_agree_where_the_last_words_of_two_or_more_are_one_class(spark: SparkSession) -> None:
    said = (
        *((0, "ann", 1), (0, "bob", 1), (0, "cyd", None)),
        *((1, "ann", 1), (1, "bob", 2)),
        *((2, "ann", 1), (2, "ann", 1)),
        *((3, "", 2), (3, "", 2)),
        *((4, "ann", 1), (4, "ann", 2)),
    )
    rows = [("s", str(key), path(image), label, who, NOW, None) for key, (image, who, label) in enumerate(said)]
    changed_mind = [("s", f"late {image}", path(image), 2, "ann", NOW + timedelta(minutes=1), None) for image in (0, 1)]

    def count_alike(annotations: list[tuple[str, str, str, int | None, str, datetime, None]]) -> tuple[int, int]:
        judged = judge(frame(spark, annotations, ANNOTATIONS.columns), Rule.UNANIMOUS).where("people > 1").collect()
        return len(judged), sum(row["classes"] == 1 for row in judged)

    before = count_alike(rows)
    after = count_alike([*rows, *changed_mind])

    # Images 0, 1 and 3: ann alone saw images 2 and 4. Then image 0 is seen differently, and image 1 alike.
    assert before == (3, 2)
    assert after == (3, 2)
    assert count_alike([*rows, changed_mind[0]]) == (3, 1)


_said = st.tuples(
    st.integers(0, 2), st.sampled_from([None, 1, 2, 3]), st.sampled_from(["", "a", "b", "c"]), st.integers(0, 3)
)


@given(said=st.lists(_said, min_size=1, max_size=12), data=st.data())
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_rules_do_not_depend_on_the_order_of_answers_and_agree_with_their_words(
    spark: SparkSession, said: list[tuple[int, int | None, str, int]], data: st.DataObject
) -> None:
    rows = [
        ("s", str(number), path(image), label, annotator, NOW.replace(minute=minute), None)
        for number, (image, label, annotator, minute) in enumerate(said)
    ]
    shuffled = frame(spark, data.draw(st.permutations(rows)), ANNOTATIONS.columns)

    judged = reduce(DataFrame.union, (judge(shuffled, rule).withColumn("rule", F.lit(str(rule))) for rule in Rule))

    found = {(row["path"], row["rule"]): (row["outcome"], row["label"]) for row in judged.collect()}
    assert found == {
        (path(image), rule): expected([row for row in rows if row[2] == path(image)], rule)
        for image in {image for image, *_ in said}
        for rule in Rule
    }


def expected(rows: list[tuple[str, str, str, int | None, str, datetime, None]], rule: Rule) -> tuple[str, int | None]:
    """Judge an image by the words of a rule."""
    newest = {annotator: max(row[5] for row in rows if row[4] == annotator) for *_, annotator, _, _ in rows}
    last = [row for row in rows if row[5] == newest[row[4]] and row[3] is not None]
    classes = {row[3] for row in last}
    if not classes:
        return SKIPPED, None
    if rule == Rule.LATEST:
        classes = {row[3] for row in last if row[5] == max(row[5] for row in last)}
    elif rule == Rule.MAJORITY:
        votes = {label: len({row[4] or row[1] for row in last if row[3] == label}) for label in classes}
        classes = {label for label, count in votes.items() if count == max(votes.values())}
    return (LABELLED, classes.pop()) if len(classes) == 1 else (CONFLICTING, None)

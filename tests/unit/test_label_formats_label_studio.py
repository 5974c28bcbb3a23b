"""Tests of Label Studio's exports: JSON, JSON-MIN and CSV give equal annotations of the lake's images."""

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.labeling.batches import images_by_copy, resolve_copy
from components.labeling.formats import Annotation, LocatedAnnotation, Outcome, parse
from components.labeling.formats.values import MISSING

TIME = "2026-05-01T10:57:24.163521Z"
BATCH = "20260501T120000Z-0123abcd"
NAMES = [f"{number:016x}-{number}.jpg" for number in range(10)]
LINES: list[dict[str, Any]] = [
    {"path": f"file:/landing/{number}.jpg", "file": f"images/{name}", "batch": BATCH}
    for number, name in enumerate(NAMES)
]
PREFIXES = (
    "/data/upload/3/1a2b3c4d-",
    f"/data/local-files/?d=to_label/{BATCH}/images/",
    f"s3://bucket/to-label/{BATCH}/images/",
    f"https://account.blob.core.windows.net/to-label/{BATCH}/images/",
    "https://studio.example/data/upload/1/",
    "export/images/1a2b3c4d-",
    "",
)


def choice(*names: str, control: str = "choice") -> dict[str, Any]:
    return {"from_name": control, "to_name": "image", "type": "choices", "value": {"choices": [*names]}}


def rectangle(name: str) -> dict[str, Any]:
    value = {"x": 1.0, "y": 2.0, "width": 3.0, "height": 4.0, "rotation": 0, "rectanglelabels": [name]}
    return {"from_name": "label", "to_name": "image", "type": "rectanglelabels", "value": value, "original_width": 10}


def annotation(*results: dict[str, Any], **changes: Any) -> dict[str, Any]:
    values = {"id": 17, "completed_by": 1, "was_cancelled": False, "created_at": "2026-05-01T09:00:00Z"}
    return {**values, "updated_at": TIME, "lead_time": 3.4, "result": list(results), **changes}


def task(number: int, *annotations: dict[str, Any], prefix: str = PREFIXES[0], **data: Any) -> dict[str, Any]:
    return {
        "id": number,
        "data": {"image": prefix + NAMES[number], **data},
        "annotations": list(annotations),
        "drafts": [],
        "predictions": [{"result": [choice("predicted")]}],
    }


def record(number: int, name: str, prefix: str = PREFIXES[0], **changes: Any) -> dict[str, Any]:
    """Return a record of JSON-MIN, whose keys have Label Studio's order."""
    task_fields = {"image": prefix + NAMES[number], "id": number, "choice": name}
    return {
        **task_fields,
        "annotator": 1,
        "annotation_id": 17,
        "created_at": TIME,
        "updated_at": TIME,
        "lead_time": 3.4,
        **changes,
    }


def as_csv(*records: dict[str, Any]) -> bytes:
    """Return records as CSV, whose columns Label Studio sorts."""
    text = io.StringIO(newline="")
    columns = sorted({key for each in records for key in each})
    writer = csv.DictWriter(text, columns, quoting=csv.QUOTE_NONNUMERIC)
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue().encode()


def read(name: str, content: bytes) -> list[Any]:
    """Return the annotations of a file, and the reason, outcome and number of what is left out."""
    located, rejected = parse(name, content)
    images = images_by_copy(LINES)
    resolved = [resolve_copy(each, images) if each.is_copy else each for each in located]
    assert all(isinstance(each, LocatedAnnotation) for each in resolved)
    return [
        *(each.annotation for each in resolved if isinstance(each, LocatedAnnotation)),
        *((each.reason, each.outcome, each.count) for each in rejected),
    ]


def read_tasks(*tasks: dict[str, Any]) -> list[Any]:
    return read("export.json", json.dumps(tasks).encode())


def expected(number: int, name: str) -> Annotation:
    return Annotation(
        path=f"file:/landing/{number}.jpg",
        name=name,
        annotator="1",
        annotated_at=datetime(2026, 5, 1, 10, 57, 24, 163521, tzinfo=UTC),
        annotation_id=f"17@{TIME}",
        service="label_studio",
        batch=BATCH,
    )


names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).map(str.strip)
names = names.filter(lambda name: name and name.lower() not in MISSING and name[0] not in "{[")


@given(st.lists(st.tuples(st.integers(0, 9), names), min_size=1, max_size=5), st.sampled_from(PREFIXES))
def test_three_export_formats_give_equal_annotations(labels: list[tuple[int, str]], prefix: str) -> None:
    tasks = [task(number, annotation(choice(name)), prefix=prefix) for number, name in labels]
    records = [record(number, name, prefix) for number, name in labels]
    annotations = [expected(number, name) for number, name in labels]

    assert read_tasks(*tasks) == annotations
    assert read("export.jsonl", "\n".join(map(json.dumps, tasks)).encode()) == annotations
    assert read("export.json", json.dumps(records).encode()) == annotations
    assert read("export.csv", as_csv(*records)) == annotations


def test_skipped_empty_and_unfinished_tasks_are_three_outcomes() -> None:
    skipped = task(1, annotation(choice("flag"), was_cancelled=True))
    empty = task(2, annotation())
    unfinished = [task(number) for number in (3, 4)]
    commented = task(5, annotation({"type": "textarea", "from_name": "note", "value": {"text": ["blurred"]}}))

    found = read_tasks(skipped, empty, *unfinished, commented)

    assert found[0] == expected(1, "")
    reason = "label: empty. Choose a class for the image, or skip the image."
    assert found[1:3] == [(reason, Outcome.EMPTY, 1)] * 2
    assert [each[1:] for each in found[3:]] == [(Outcome.UNFINISHED, 2)]


def test_records_of_unfinished_and_empty_tasks_are_no_skips() -> None:
    unfinished = record(1, "", annotation_id=None, annotator="", created_at=None, updated_at=None)
    empty = record(2, "")
    without_control = {key: value for key, value in empty.items() if key != "choice"}

    in_csv = read("export.csv", as_csv(unfinished, empty, record(3, "flag")))
    in_json = read("export.json", json.dumps([unfinished, without_control]).encode())

    assert in_csv[0] == expected(3, "flag")
    assert [each[1] for each in in_csv[1:]] == [Outcome.EMPTY, Outcome.UNFINISHED]
    assert [each[1] for each in in_json] == [Outcome.EMPTY, Outcome.UNFINISHED]


@pytest.mark.parametrize(
    ("results", "reason"),
    [
        ([choice("cat", "dog")], "label: 2 classes instead of 1."),
        ([choice("cat"), choice("dog")], "label: 2 classes instead of 1."),
        ([rectangle("cat")], "label: a region of the image."),
        ([choice("cat"), rectangle("cat")], "label: a region of the image."),
        ([choice("cat"), choice("good", control="quality")], "label: 2 controls have a choice (choice, quality)."),
        ([{"type": "taxonomy", "value": {"taxonomy": [["a"]]}}], "label: no choice of a class, but taxonomy."),
        ([{**choice("cat"), "value": {"choices": [True]}}], "name: true is not text."),
        (None, "result: missing."),
    ],
)
def test_result_without_exactly_one_class_is_named(results: Any, reason: str) -> None:
    ((found, outcome, _),) = read_tasks(task(1, annotation(result=results)))

    assert found.startswith(reason)
    assert outcome is Outcome.REJECTED


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ({"choices": ["cat", "dog"]}, "label: 2 classes instead of 1."),
        ([rectangle("cat")["value"]], "label: a region of the image."),
        (["cat", "dog"], "label: 2 classes instead of 1."),
    ],
)
def test_record_without_exactly_one_class_is_named(cell: Any, reason: str) -> None:
    in_json = read("export.json", json.dumps([record(1, cell)]).encode())
    in_csv = read("export.csv", as_csv(record(1, json.dumps(cell))))

    assert in_json == in_csv
    ((found, _, _),) = in_json
    assert found.startswith(reason)


def test_control_of_any_name_is_read_from_tasks_and_named_in_records() -> None:
    renamed = {("animal" if key == "choice" else key): value for key, value in record(1, "flag").items()}

    assert read_tasks(task(1, annotation(choice("flag", control="animal")))) == [expected(1, "flag")]
    in_json = read("export.json", json.dumps([renamed]).encode())
    in_csv = read("export.csv", as_csv(renamed))
    assert in_json == in_csv
    assert "other columns: 'animal'. Export the project as JSON" in in_json[0][0]


def test_columns_are_read_in_any_order() -> None:
    fields = record(1, "flag", sentiment="x")
    first = ("id", "image", "annotator", "annotation_id")
    reordered = {key: fields[key] for key in (*first, *sorted(fields.keys() - {*first}, reverse=True))}

    assert read("export.json", json.dumps([reordered]).encode()) == [expected(1, "flag")]


@pytest.mark.parametrize("others", [{"animal": "cat"}, {"class": "cat"}])
def test_several_columns_that_may_hold_the_class_are_named(others: dict[str, str]) -> None:
    fields = {("label" if key == "choice" else key): value for key, value in record(1, "flag").items()}

    ((reason, _, _),) = read("export.csv", as_csv({**fields, **others}))

    assert reason.startswith("label: which of ")
    assert read("export.csv", as_csv(fields)) == [expected(1, "flag")]


def test_field_of_a_task_is_not_taken_for_its_class() -> None:
    # The task has a field named like a usual control, and nobody chose a class.
    fields = {"label": "old", **{key: value for key, value in record(1, "").items() if key != "choice"}}

    assert [each[1] for each in read("export.json", json.dumps([fields]).encode())] == [Outcome.EMPTY]
    assert read("export.json", json.dumps([{"label": "old", **record(1, "flag")}]).encode()) == [expected(1, "flag")]
    # The task has an id of its own, before its other fields.
    of_task = {"id": 1, "image": fields["image"], "prediction": "ak47"}
    ((_, outcome, _),) = read(
        "export.json", json.dumps([{**of_task, **{k: fields[k] for k in list(fields)[3:]}}]).encode()
    )
    assert outcome is Outcome.REJECTED


def test_person_and_changed_annotation_are_recognized() -> None:
    by_mail = annotation(choice("flag"), completed_by={"id": 1, "email": "ann@example.org"})
    changed = annotation(choice("ak47"), updated_at="2026-05-01T11:00:00Z")

    first, second = read_tasks(task(1, by_mail, changed))

    assert (first.annotator, second.annotator) == ("ann@example.org", "1")
    assert first.annotation_id != second.annotation_id


def test_manifest_that_was_imported_as_tasks_names_the_image_itself() -> None:
    line = {**LINES[1], "name": "predicted", "predicted_label": 3}

    assert read_tasks(task(1, annotation(choice("flag")), **line)) == [expected(1, "flag")]


def test_task_without_an_address_is_named() -> None:
    ((reason, _, _),) = read_tasks({**task(1, annotation(choice("flag"))), "data": {"text": "no image"}})

    assert reason.startswith("image: no field of the task is the address of an image.")

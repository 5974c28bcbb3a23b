"""Tests of single values in files of annotations: each is read as it is meant, or rejected with the cause."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.labeling.formats import Annotation, Outcome, parse

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
ROW = {"path": "a.jpg", "label": 1}


def read_row(row: dict[str, Any]) -> Annotation | tuple[str, Outcome]:
    """Return the annotation of a JSON line, or the reason why it has none."""
    annotations, rejected = parse("a.jsonl", json.dumps(row).encode(), NOW)
    if annotations:
        assert rejected == []
        return annotations[0].annotation
    (rejection,) = rejected
    return rejection.reason, rejection.outcome


def read_line(header: str, line: str) -> Annotation | tuple[str, Outcome]:
    """Return the annotation of a line of CSV, or the reason why it has none."""
    annotations, rejected = parse("a.csv", f"{header}\n{line}\n".encode(), NOW)
    if annotations:
        assert rejected == []
        return annotations[0].annotation
    (rejection,) = rejected
    return rejection.reason, rejection.outcome


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"label": True}, "label: true is not a class id."),
        ({"label": float("nan")}, "label: NaN means a missing value."),
        ({"label": float("inf")}, "label: Infinity means a missing value."),
        ({"label": 1.5}, "label: 1.5 is not a class id."),
        (
            {"label": "cat"},
            "label: 'cat' is not a class id. Give a whole number from 0 to 2147483647, or the class name",
        ),
        ({"label": "1,2"}, "label: '1,2' names several classes. Label each image with one class."),
        ({"label": [1, 2]}, "label: 2 classes instead of 1."),
        ({"label": {"x": 0.1}}, "label: a region of the image."),
        ({"name": float("nan")}, "name: NaN means a missing value."),
        ({"name": "NaN", "label": None}, "name: 'NaN' means a missing value."),
        ({"name": False}, "name: false is not text."),
        ({"name": ["cat", "dog"]}, "label: 2 classes instead of 1."),
        ({"name": [{"topX": 0.1, "label": "cat"}]}, "label: a region of the image."),
        ({"path": 5.5}, "path: 5.5 is not text."),
        ({"path": True}, "path: true is not text."),
        ({"path": None}, "path: missing; the keys are: 'path', 'label'. Copy the path from the manifest."),
        ({"annotator": True}, "annotator: true is not text."),
        ({"annotation_id": float("nan")}, "annotation_id: NaN means a missing value."),
        ({"annotated_at": 20240501}, "annotated_at: 20240501 is not a time in ISO 8601. Write e.g. 2026-05-01T12:00"),
        ({"annotated_at": "20240501"}, "annotated_at: '20240501' is not a time in ISO 8601."),
        ({"annotated_at": "1777636800"}, "annotated_at: '1777636800' is not a time in ISO 8601."),
        ({"annotated_at": "01/05/2026 12:00"}, "annotated_at: '01/05/2026 12:00' is not a time in ISO 8601."),
        ({"annotated_at": "2026-13-01"}, "annotated_at: '2026-13-01' is not a time in ISO 8601."),
        ({"annotated_at": "0001-01-01T00:00:00+05:00"}, "annotated_at: '0001-01-01T00:00:00+05:00' is out of range"),
        ({"annotated_at": True}, "annotated_at: true is not a time in ISO 8601."),
        (
            {"annotated_at": "2026-05-02T12:00:01Z"},
            "annotated_at: 2026-05-02T12:00:01+00:00 is more than 24 hours ahead",
        ),
        ({"skipped": True}, "skipped: true, but label is 1. Remove one of them."),
        ({"skipped": "maybe"}, "skipped: 'maybe' is neither true nor false."),
    ],
)
def test_value_that_is_not_meant_so_is_rejected_with_the_cause(change: dict[str, Any], reason: str) -> None:
    found = read_row({**ROW, **change})

    assert isinstance(found, tuple)
    assert found[0].startswith(reason)
    assert found[1] is Outcome.REJECTED


@pytest.mark.parametrize(
    ("written", "time"),
    [
        ("2026-05-01", datetime(2026, 5, 1, tzinfo=UTC)),
        ("2026-05-01 10:00", datetime(2026, 5, 1, 10, tzinfo=UTC)),
        ("2026-05-01t10:00:00z", datetime(2026, 5, 1, 10, tzinfo=UTC)),
        ("2026-05-01T10:00:00.5+02", datetime(2026, 5, 1, 8, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-05-01T10:00:00,5-0200", datetime(2026, 5, 1, 12, 0, 0, 500_000, tzinfo=UTC)),
        ("20260501T100000Z", datetime(2026, 5, 1, 10, tzinfo=UTC)),
        ("2026-05-02T12:00:00Z", datetime(2026, 5, 2, 12, tzinfo=UTC)),
    ],
)
def test_time_in_iso_8601_is_read_up_to_24_hours_ahead(written: str, time: datetime) -> None:
    assert read_row({**ROW, "annotated_at": written}) == Annotation(path="a.jpg", label=1, annotated_at=time)


@given(st.timedeltas(-timedelta(days=3), timedelta(days=3)))
def test_time_is_rejected_if_more_than_24_hours_ahead(ahead: timedelta) -> None:
    found = read_row({**ROW, "annotated_at": (NOW + ahead).isoformat()})

    assert isinstance(found, Annotation) == (ahead <= timedelta(hours=24))


@pytest.mark.parametrize(
    ("header", "line", "outcome"),
    [
        ("path,label,skipped", "a.jpg,,true", None),
        ("path,skipped", "a.jpg,YES", None),
        ("path,label,skipped", "a.jpg,,no", Outcome.UNFINISHED),
        ("path,label", "a.jpg,", Outcome.UNFINISHED),
        ("path,label,name,annotator", "a.jpg,,,", Outcome.UNFINISHED),
        ("path,label,annotator", "a.jpg,,ann", Outcome.EMPTY),
        ("path,name,annotated_at", "a.jpg, ,2026-05-01", Outcome.EMPTY),
    ],
)
def test_skipped_empty_and_unfinished_are_three_outcomes(header: str, line: str, outcome: Outcome | None) -> None:
    found = read_line(header, line)

    if outcome is None:
        assert isinstance(found, Annotation)
        assert found.is_skip
    else:
        assert isinstance(found, tuple)
        assert found[1] is outcome


def test_misspelled_key_is_named_instead_of_taken_for_a_skip() -> None:
    assert read_row({"path": "a.jpg", "class": "ak47"}) == (
        "label: missing. Unknown keys: 'class'. Give label or name, or set skipped to true.",
        Outcome.REJECTED,
    )


def test_line_of_a_manifest_gives_no_prediction_as_an_annotation() -> None:
    line = {"path": "a.jpg", "batch": "b1", "name": "flag", "predicted_label": 2, "score": 0.5}

    found = read_row(line)

    assert isinstance(found, tuple)
    assert found[0].startswith("name: the model's prediction")
    assert read_row({**line, "label": 1}) == Annotation(path="a.jpg", label=1, batch="b1")
    assert read_row({**line, "skipped": True}) == Annotation(path="a.jpg", batch="b1")


def test_key_that_is_given_twice_with_different_values_is_rejected() -> None:
    equal = b'{"path": "a.jpg", "label": 1, "Label": 1, "label": 1}'
    repeated = b'{"path": "a.jpg", "label": 1, "label": 2}'
    in_another_case = b'{"path": "a.jpg", "label": 1, "Label": 2}'

    annotations, rejected = parse("a.jsonl", b"\n".join([equal, repeated, in_another_case]))

    assert [located.annotation for located in annotations] == [Annotation(path="a.jpg", label=1)]
    assert [rejection.reason for rejection in rejected] == [
        "label: given twice, with different values. Keep one of them."
    ] * 2


@pytest.mark.parametrize(
    "number", ["7", 7, 7.0, "7.0", " 7 ", [7]], ids=["text", "number", "float", "decimal text", "blanks", "list"]
)
def test_class_id_is_read_as_programs_write_it(number: Any) -> None:
    assert read_row({"path": "a.jpg", "label": number}) == Annotation(path="a.jpg", label=7)

"""Tests of annotation files: readable rows are parsed, and each other row is rejected with its line."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.labeling.formats import Annotation, Rejection, parse

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)

# Texts that str.strip does not change and UTF-8 can encode.
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20).map(str.strip)
rows = st.fixed_dictionaries(
    {
        "path": texts.filter(lambda text: text and ".." not in text.split("/")),
        "label": st.none() | st.integers(0, 2**31 - 1),
        "name": texts,
        "annotator": texts,
        "annotated_at": st.none() | st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)),
        "annotation_id": texts,
    }
)


def as_text(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value.isoformat() if isinstance(value, datetime) else value for key, value in row.items()}


def expected(row: dict[str, Any]) -> Annotation:
    time = row["annotated_at"]
    return Annotation(**{**row, "annotated_at": time and time.replace(tzinfo=UTC)})


@given(st.lists(rows, min_size=1, max_size=5))
def test_csv_round_trips(written: list[dict[str, Any]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, written[0])
    writer.writeheader()
    writer.writerows(as_text(row) for row in written)

    annotations, rejected = parse("labels.csv", text.getvalue().encode())

    assert not rejected
    assert [located.annotation for located in annotations] == [expected(row) for row in written]


@given(st.lists(rows, max_size=5))
def test_json_lines_round_trip(written: list[dict[str, Any]]) -> None:
    content = "\n".join(json.dumps(as_text(row)) for row in written).encode()

    annotations, rejected = parse("labels.jsonl", content)

    assert not rejected
    assert [located.annotation for located in annotations] == [expected(row) for row in written]


@given(st.binary(max_size=200), st.sampled_from(["labels.csv", "labels.jsonl"]))
def test_any_content_is_parsed_without_an_exception(content: bytes, name: str) -> None:
    annotations, rejected = parse(name, content)

    assert all(located.place.startswith(name) for located in annotations)
    assert all(rejection.place.startswith(name) for rejection in rejected)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"path": "a.jpg", "label": "cat"}', "label"),
        (b'{"path": "a.jpg", "label": -1}', "label"),
        (b'{"path": "a.jpg", "label": 2147483648}', "label"),
        (b'{"label": 3}', "path"),
        (b'{"path": " ", "label": 3}', "path"),
        (b'{"path": "a.jpg", "label": 3, "annotated_at": "yesterday"}', "annotated_at"),
        (b'{"path": "a\\ud800.jpg", "label": 3}', "path"),
        (b'{"path": "a.jpg", "lab', "not valid JSON"),
        (b'["a.jpg", 3]', "not a JSON object"),
    ],
)
def test_invalid_line_is_named_and_the_others_are_read(line: bytes, reason: str) -> None:
    good = b'{"path": "b.jpg", "label": 1}'

    annotations, rejected = parse("labels.jsonl", good + b"\n" + line + b"\n" + good)

    assert [located.place for located in annotations] == ["labels.jsonl, line 1", "labels.jsonl, line 3"]
    assert [rejection.place for rejection in rejected] == ["labels.jsonl, line 2"]
    assert reason in rejected[0].reason


def test_short_row_is_named_and_the_others_are_read() -> None:
    annotations, rejected = parse("labels.csv", b"path,label\na.jpg,1\nb.jpg\nc.jpg,3,4\nd.jpg,4\n")

    assert [located.annotation.path for located in annotations] == ["a.jpg", "d.jpg"]
    assert [rejection.place for rejection in rejected] == ["labels.csv, line 3", "labels.csv, line 4"]


def test_file_with_another_encoding_or_missing_columns_is_named() -> None:
    latin = parse("latin.csv", "path,label\nü.jpg,1\n".encode("latin-1"))
    headless = parse("headless.csv", b"a.jpg,1\n")

    assert latin == ([], [Rejection("latin.csv", "The file is not UTF-8 (byte 12). Export it as UTF-8.")])
    assert headless == (
        [],
        [
            Rejection(
                "headless.csv",
                "The first line lacks the columns 'path' and 'label' (or 'name'), and 'Url' and 'Label'. Add a header.",
            )
        ],
    )


def test_byte_order_mark_and_extra_columns_are_ignored() -> None:
    (found,), rejected = parse("labels.csv", "\ufeffpath,label,color\na.jpg,7,red\n".encode())

    assert (found.annotation, rejected) == (Annotation(path="a.jpg", label=7), [])


def test_time_with_a_zone_is_converted_to_utc() -> None:
    (found,), _ = parse("labels.jsonl", b'{"path": "a.jpg", "label": 1, "annotated_at": "2026-05-01T12:00:00+02:00"}')

    assert found.annotation.annotated_at == datetime(2026, 5, 1, 10, tzinfo=UTC)
    assert found.annotation.annotated_at.utcoffset() == timedelta(0)


@given(rows, rows, st.booleans(), st.sampled_from([NOW, NOW + timedelta(days=1)]))
def test_annotations_without_an_id_share_a_key_only_if_equal_in_content_and_time(
    one: dict[str, Any], other: dict[str, Any], equal: bool, exported_at: datetime
) -> None:
    first, second = (Annotation(**{**row, "annotation_id": ""}) for row in (one, one if equal else other))
    times = [first.annotated_at or NOW, second.annotated_at or exported_at]

    same = first.model_copy(update={"annotated_at": times[0]}) == second.model_copy(update={"annotated_at": times[1]})
    assert (first.key(times[0]) == second.key(times[1])) == same

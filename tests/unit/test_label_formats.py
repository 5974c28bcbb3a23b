"""Files of answers: what can be read is, and the rest is told line by line."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.import_labels.formats import Answer, Rejected, parse

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)

# What str.strip leaves as it is, and what UTF-8 can hold.
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


def expected(row: dict[str, Any]) -> Answer:
    time = row["annotated_at"]
    return Answer(**{**row, "annotated_at": time and time.replace(tzinfo=UTC)})


@given(st.lists(rows, min_size=1, max_size=5))
def test_what_was_written_as_csv_is_read(written: list[dict[str, Any]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, written[0])
    writer.writeheader()
    writer.writerows(as_text(row) for row in written)

    answers, rejected = parse("labels.csv", text.getvalue().encode())

    assert not rejected
    assert [each.answer for each in answers] == [expected(row) for row in written]


@given(st.lists(rows, max_size=5))
def test_what_was_written_as_json_lines_is_read(written: list[dict[str, Any]]) -> None:
    content = "\n".join(json.dumps(as_text(row)) for row in written).encode()

    answers, rejected = parse("labels.jsonl", content)

    assert not rejected
    assert [each.answer for each in answers] == [expected(row) for row in written]


@given(st.binary(max_size=200), st.sampled_from(["labels.csv", "labels.jsonl"]))
def test_no_content_is_an_exception(content: bytes, name: str) -> None:
    answers, rejected = parse(name, content)

    assert all(each.where.startswith(name) for each in answers)
    assert all(each.where.startswith(name) for each in rejected)


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
        (b'{"path": "a.jpg", "lab', "is no JSON"),
        (b'["a.jpg", 3]', "is no JSON object"),
    ],
)
def test_a_line_that_makes_no_sense_is_named_and_the_others_are_read(line: bytes, reason: str) -> None:
    good = b'{"path": "b.jpg", "label": 1}'

    answers, rejected = parse("labels.jsonl", good + b"\n" + line + b"\n" + good)

    assert [each.where for each in answers] == ["labels.jsonl, line 1", "labels.jsonl, line 3"]
    assert [each.where for each in rejected] == ["labels.jsonl, line 2"]
    assert reason in rejected[0].reason


def test_a_short_row_is_named_and_the_others_are_read() -> None:
    answers, rejected = parse("labels.csv", b"path,label\na.jpg,1\nb.jpg\nc.jpg,3,4\nd.jpg,4\n")

    assert [each.answer.path for each in answers] == ["a.jpg", "d.jpg"]
    assert [each.where for each in rejected] == ["labels.csv, line 3", "labels.csv, line 4"]


def test_a_file_of_another_encoding_or_without_the_columns_is_named() -> None:
    latin = parse("latin.csv", "path,label\nü.jpg,1\n".encode("latin-1"))
    headless = parse("headless.csv", b"a.jpg,1\n")

    assert latin == ([], [Rejected("latin.csv", "is not UTF-8 (byte 12); export it as UTF-8")])
    assert headless == (
        [],
        [
            Rejected(
                "headless.csv",
                "has no columns 'path' and 'label' (or 'name') in its first line, nor 'Url' and 'Label'",
            )
        ],
    )


def test_a_byte_order_mark_and_foreign_columns_are_no_matter() -> None:
    (found,), rejected = parse("labels.csv", "\ufeffpath,label,colour\na.jpg,7,red\n".encode())

    assert (found.answer, rejected) == (Answer(path="a.jpg", label=7), [])


def test_a_time_with_a_zone_is_turned_into_utc() -> None:
    (found,), _ = parse("labels.jsonl", b'{"path": "a.jpg", "label": 1, "annotated_at": "2026-05-01T12:00:00+02:00"}')

    assert found.answer.annotated_at == datetime(2026, 5, 1, 10, tzinfo=UTC)
    assert found.answer.annotated_at.utcoffset() == timedelta(0)


@given(rows, rows, st.booleans(), st.sampled_from([NOW, NOW + timedelta(days=1)]))
def test_answers_without_an_id_have_the_same_key_only_if_they_say_the_same_at_the_same_time(
    one: dict[str, Any], other: dict[str, Any], alike: bool, exported_at: datetime
) -> None:
    first, second = (Answer(**{**row, "annotation_id": ""}) for row in (one, one if alike else other))
    times = [first.annotated_at or NOW, second.annotated_at or exported_at]

    same = first.model_copy(update={"annotated_at": times[0]}) == second.model_copy(update={"annotated_at": times[1]})
    assert (first.key(times[0]) == second.key(times[1])) == same

"""Tests of annotation files: readable rows are parsed, and each other row is rejected with its line."""

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.labeling.formats import SUFFIXES, Annotation, Rejection, parse
from components.labeling.formats.values import MISSING

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)

# Texts that str.strip does not change and UTF-8 can encode.
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20).map(str.strip)
rows = st.fixed_dictionaries(
    {
        "path": texts.filter(lambda text: text and ".." not in text.split("/")),
        "label": st.none() | st.integers(0, 2**31 - 1),
        "name": texts.filter(lambda text: text.lower() not in MISSING),
        "annotator": texts,
        "annotated_at": st.none() | st.datetimes(datetime(1900, 1, 1), datetime(2026, 5, 1)),
        "annotation_id": texts,
    }
)


def as_text(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as people write it, which says if the image was skipped."""
    texts = {key: value.isoformat() if isinstance(value, datetime) else value for key, value in row.items()}
    return {**texts, "skipped": row["label"] is None and not row["name"]}


def expected(row: dict[str, Any]) -> Annotation:
    time = row["annotated_at"]
    return Annotation(**{**row, "annotated_at": time and time.replace(tzinfo=UTC)})


@given(
    st.lists(rows, min_size=1, max_size=5),
    st.sampled_from(",;\t"),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]),
    st.sampled_from([str.lower, str.upper, str.title]),
    st.booleans(),
    st.sampled_from(["\n", "\r\n"]),
)
def test_csv_round_trips_in_any_dialect(
    written: list[dict[str, Any]],
    separator: str,
    encoding: str,
    spell: Callable[[str], str],
    names_separator: bool,
    end: str,
) -> None:
    text = io.StringIO(newline="")
    text.write(f"sep={separator}{end}" if names_separator else "")
    lines = [as_text(row) for row in written]
    writer = csv.writer(text, delimiter=separator, lineterminator=end)
    writer.writerow(map(spell, lines[0]))
    writer.writerows([line[column] for column in lines[0]] for line in lines)

    annotations, rejected = parse("labels.csv", text.getvalue().encode(encoding))

    assert not rejected
    assert [located.annotation for located in annotations] == [expected(row) for row in written]


@given(st.lists(rows, max_size=5), st.sampled_from(["labels.jsonl", "labels.ndjson", "labels.json"]))
def test_json_lines_round_trip_under_any_suffix(written: list[dict[str, Any]], name: str) -> None:
    content = "\n".join(json.dumps(as_text(row)) for row in written).encode()

    annotations, rejected = parse(name, content)

    assert not rejected
    assert [located.annotation for located in annotations] == [expected(row) for row in written]


# Pieces of which all formats consist, so that random files get past the first check.
_PIECES = (
    *("path", "label", "name", "skipped", "Url", "image_url", "annotation_id", "annotator", "lead_time", "choice"),
    *("images", "annotations", "categories", "data", "result", "sep=", "id", "a.jpg", "2026-05-01", "NaN", "true"),
    *('"', ",", ";", "\t", "\n", "\r", "{", "}", "[", "]", ":", "1", "null", "\ud83d", "\x00", "\ufeff", " "),
)
_files = st.binary(max_size=200) | st.lists(st.sampled_from(_PIECES), max_size=60).map(
    lambda pieces: "".join(pieces).encode(errors="surrogatepass")
)
_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.sampled_from(_PIECES),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(_PIECES), inner, max_size=8),
    max_leaves=20,
).map(lambda value: json.dumps(value).encode())


@given(_files | _values, st.sampled_from([f"labels{suffix}" for suffix in SUFFIXES]))
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

    assert latin == ([], [Rejection("latin.csv", "The file is not UTF-8 (byte 12). Export it as UTF-8 or UTF-16.")])
    assert headless == (
        [],
        [
            Rejection(
                "headless.csv",
                "The header has the columns 'a.jpg', '1'. It needs path with label or name, or Url with Label.",
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


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
@pytest.mark.parametrize(
    "text",
    [
        '{"path": "a.jpg", "label": 1}',
        '\n{\n  "path": "a.jpg",\n  "label": 1\n}\n',
        '[{"path": "a.jpg", "label": 1}]',
        '[\n  {"path": "a.jpg", "label": 1}\n]\n',
        '\n\n{"PATH": "a.jpg", "Label": "1"}\r\n\r\n',
    ],
)
def test_json_is_recognized_by_its_content(text: str, suffix: str) -> None:
    (found,), rejected = parse("labels" + suffix, text.encode())

    assert (found.annotation, rejected) == (Annotation(path="a.jpg", label=1), [])

"""Tests of malformed exports: each is rejected with its place and a reason, and readable rows are parsed."""

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.import_labels.import_annotations import ImportResult
from components.import_labels.report import write_report
from components.labeling.formats import SUFFIXES, Rejection, parse

URL = "AmlDatastore://to_label/batch/images/ab-1.jpg"
COCO = json.dumps(
    {
        "images": [{"id": 1, "coco_url": URL}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1}],
        "categories": [{"id": 1, "name": "flag"}],
    }
)
LINE = json.dumps({"image_url": URL, "label": "flag"})
TABLE = f"Url,Label\n{URL},flag\n"
OWN_LINE = json.dumps({"path": URL, "name": "flag"})
OWN_TABLE = f"path,name\n{URL},flag\n"
FORMULA = '=HYPERLINK("http://example.org","cat")'


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.csv", TABLE), ("a.tsv", TABLE.replace(",", "\t")), ("a.jsonl", LINE), ("a.ndjson", LINE), ("a.json", COCO)],
)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_export_in_unicode_is_read(name: str, content: str, encoding: str) -> None:
    (found,), rejected = parse(name, content.encode(encoding))

    assert (found.annotation.path, found.annotation.name, rejected) == (URL, "flag", [])


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"PK\x03\x04rest of a workbook", "an Excel workbook or a ZIP archive"),
        (b"\xd0\xcf\x11\xe0rest", "an Excel workbook"),
        (b"\x1f\x8brest", "a gzip archive"),
        (TABLE.replace("flag", "Flagge für").encode("latin-1"), "not UTF-8"),
        (TABLE.encode("utf-16")[:-1], "not UTF-16"),
    ],
)
def test_file_that_is_no_text_is_named(suffix: str, content: bytes, reason: str) -> None:
    annotations, (rejected,) = parse("labels" + suffix, content)

    assert (annotations, rejected.place) == ([], "labels" + suffix)
    assert reason in rejected.reason


@given(st.integers(1, len(COCO) - 1))
def test_truncated_coco_file_is_named(length: int) -> None:
    assert parse("labels.json", COCO[:length].encode()) == (
        [],
        [Rejection("labels.json", "The file is not valid JSON, or is truncated. Export it again.")],
    )


@given(st.integers(1, len(LINE) - 1))
def test_truncated_json_lines_are_read_except_the_last(length: int) -> None:
    annotations, rejected = parse("labels.jsonl", f"{LINE}\n{LINE}\n{LINE[:length]}".encode())

    assert [located.place for located in annotations] == ["labels.jsonl, line 1", "labels.jsonl, line 2"]
    assert rejected == [Rejection("labels.jsonl, line 3", "The line is not valid JSON. Export the file again.")]


@pytest.mark.parametrize("content", ["[]", "{}", '{"images": {}, "annotations": [], "categories": []}', "[" * 100_000])
def test_json_other_than_coco_is_named(content: str) -> None:
    annotations, (rejected,) = parse("labels.json", content.encode())

    assert (annotations, rejected.place) == ([], "labels.json")


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_number_with_thousands_of_digits_is_named(suffix: str) -> None:
    annotations, (rejected,) = parse("labels" + suffix, b'{"path": "a.jpg", "label": ' + b"9" * 5000 + b"}")

    assert annotations == []
    assert "not valid JSON" in rejected.reason


def coco_of(count: int) -> str:
    numbers = range(count)
    return json.dumps(
        {
            "images": [{"id": number, "coco_url": URL} for number in numbers],
            "annotations": [{"id": number, "image_id": number, "category_id": 1} for number in numbers],
            "categories": [{"id": 1, "name": "flag"}],
        }
    )


@pytest.mark.parametrize(
    ("name", "export_of"),
    [
        ("a.csv", lambda lines: "Url,Label\n" + f"{URL},flag\n" * lines),
        ("a.jsonl", lambda lines: f"{LINE}\n" * lines),
        ("a.json", coco_of),
    ],
    ids=["csv", "json lines", "coco"],
)
def test_thousands_of_lines_are_read_in_proportional_memory(name: str, export_of: Callable[[int], str]) -> None:
    def peak(lines: int) -> int:
        content = export_of(lines).encode()
        tracemalloc.start()
        annotations, rejected = parse(name, content)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert (len(annotations), rejected) == (lines, [])
        return used

    assert peak(20_000) < 11 * peak(2_000)


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.json", COCO), ("a.jsonl", LINE), ("a.csv", TABLE), ("a.jsonl", OWN_LINE), ("a.csv", OWN_TABLE)],
    ids=["coco", "json lines", "csv", "our own json lines", "our own csv"],
)
def test_path_with_parent_folders_is_named_and_not_read_again(name: str, content: str) -> None:
    (plain,), _ = parse(name, content.encode())

    assert parse(name, content.replace("to_label/", "to_label/../").encode()) == (
        [],
        [Rejection(plain.place, "path: contains '..'. Copy the path from the manifest.", retryable=False)],
    )


def test_formula_in_a_cell_stays_text() -> None:
    quoted = FORMULA.replace('"', '""')

    (found,), rejected = parse("a.csv", f'Url,Label\n{URL},"{quoted}"\n'.encode())

    assert (found.annotation.name, found.annotation.label, rejected) == (FORMULA, None, [])


def test_markup_in_an_export_is_text_in_the_report(tmp_path: Path) -> None:
    markup = "<img src=x onerror=alert(1)>"

    write_report(
        ImportResult(
            "file:///annotations",
            rejected=[Rejection("a.csv, line 2", f"name: '{markup}' is not allowed for a new class.")],
        ),
        str(tmp_path / "report.html"),
    )

    page = (tmp_path / "report.html").read_text()
    assert markup not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page

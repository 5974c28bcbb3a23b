"""Malformed exports: each is told in one sentence, and what can be read of it is."""

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.import_labels.formats import SUFFIXES, Rejected, parse
from components.import_labels.import_answers import ImportResult
from components.import_labels.report import write_report

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


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_export_in_utf_16_is_named(suffix: str) -> None:
    content = TABLE.encode("utf-16")

    assert parse("labels" + suffix, content) == (
        [],
        [Rejected("labels" + suffix, "is not UTF-8 (byte 1); export it as UTF-8")],
    )


@given(st.integers(1, len(COCO) - 1))
def test_a_coco_file_that_was_cut_off_is_named(length: int) -> None:
    assert parse("labels.json", COCO[:length].encode()) == (
        [],
        [Rejected("labels.json", "is no JSON, or a part of it; export it again")],
    )


@given(st.integers(1, len(LINE) - 1))
def test_of_json_lines_that_were_cut_off_all_but_the_last_are_read(length: int) -> None:
    answers, rejected = parse("labels.jsonl", f"{LINE}\n{LINE}\n{LINE[:length]}".encode())

    assert [each.where for each in answers] == ["labels.jsonl, line 1", "labels.jsonl, line 2"]
    assert rejected == [Rejected("labels.jsonl, line 3", "is no JSON")]


@pytest.mark.parametrize("content", ["[]", "{}", '{"images": {}, "annotations": [], "categories": []}', "[" * 100_000])
def test_json_that_is_no_coco_is_named(content: str) -> None:
    answers, (rejected,) = parse("labels.json", content.encode())

    assert (answers, rejected.where) == ([], "labels.json")


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_a_number_of_thousands_of_digits_is_named(suffix: str) -> None:
    answers, (rejected,) = parse("labels" + suffix, b'{"path": "a.jpg", "label": ' + b"9" * 5000 + b"}")

    assert answers == []
    assert "is no JSON" in rejected.reason


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
def test_100_000_lines_are_read_in_memory_of_their_number(name: str, export_of: Callable[[int], str]) -> None:
    def peak(lines: int) -> int:
        content = export_of(lines).encode()
        tracemalloc.start()
        answers, rejected = parse(name, content)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert (len(answers), rejected) == (lines, [])
        return used

    assert peak(100_000) < 11 * peak(10_000)


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.json", COCO), ("a.jsonl", LINE), ("a.csv", TABLE), ("a.jsonl", OWN_LINE), ("a.csv", OWN_TABLE)],
    ids=["coco", "json lines", "csv", "our own json lines", "our own csv"],
)
def test_a_path_that_leads_upwards_is_named_and_waits_for_no_image(name: str, content: str) -> None:
    (plain,), _ = parse(name, content.encode())

    assert parse(name, content.replace("to_label/", "to_label/../").encode()) == (
        [],
        [Rejected(plain.where, "path: has '..' in it; write it as the manifest does", waits=False)],
    )


def test_a_formula_in_a_cell_stays_text() -> None:
    quoted = FORMULA.replace('"', '""')

    (found,), rejected = parse("a.csv", f'Url,Label\n{URL},"{quoted}"\n'.encode())

    assert (found.answer.name, found.answer.label, rejected) == (FORMULA, None, [])


def test_markup_of_an_export_is_text_on_the_page(tmp_path: Path) -> None:
    markup = "<img src=x onerror=alert(1)>"

    write_report(
        ImportResult(
            "file:///answers", rejected=[Rejected("a.csv, line 2", f"'{markup}' can't be the name of a new class")]
        ),
        str(tmp_path / "report.html"),
    )

    page = (tmp_path / "report.html").read_text()
    assert markup not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page

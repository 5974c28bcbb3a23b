"""The promises of `python -m pipelines query`."""

import csv
import io
from datetime import UTC, datetime

import pytest
from rich.console import Console

from components.errors import InputError
from components.lake import Lake, frame
from components.lake.tables import ANNOTATIONS, CLASSES, IMAGES
from pipelines.query import as_table, query, write_csv


@pytest.fixture
def filled(lake: Lake) -> Lake:
    when = datetime(2026, 7, 1, 12, 30, tzinfo=UTC)
    rows = [
        ("file:///a [red].jpg", when, 2000, b"x" * 2000, "sha-a", 1, when.date(), when),
        ('file:///b,"b".jpg', when, 3, b"abc", "sha-b", None, when.date(), when),
    ]
    lake.insert_new(IMAGES, frame(lake.spark, rows, IMAGES.columns))
    lake.insert_new(CLASSES, frame(lake.spark, [(1, "zero", None)], CLASSES.columns))
    return lake


def as_csv(lake: Lake, statement: str) -> list[list[str]]:
    text = io.StringIO()
    write_csv(query(lake, statement), text)
    return list(csv.reader(io.StringIO(text.getvalue())))


def test_tables_and_the_view_are_known_by_their_names(filled: Lake) -> None:
    rows = as_csv(
        filled, "SELECT i.path, c.name FROM image_data i LEFT JOIN classes c ON i.label = c.label ORDER BY i.path"
    )

    assert rows == [["path", "name"], ["file:///a [red].jpg", "zero"], ['file:///b,"b".jpg', ""]]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r="])
def test_a_formula_of_an_annotator_is_text_in_csv_and_numbers_stay_numbers(filled: Lake, start: str) -> None:
    when = datetime(2026, 7, 1, tzinfo=UTC)
    formula = f'{start}HYPERLINK("http://example.org","cat")'
    rows = [
        ("file", formula, "file:/a.jpg", 1, formula, when, None),
        ("file", "b-=1", "file:/b.jpg", 1, "", when, None),
    ]
    filled.insert_new(ANNOTATIONS, frame(filled.spark, rows, ANNOTATIONS.columns))

    written = as_csv(filled, "SELECT annotation_id, annotator, -label AS l FROM annotations ORDER BY path")

    assert written[1:] == [[f"'{formula}", f"'{formula}", "-1"], ["b-=1", "", "-1"]]


def test_bytes_of_images_are_shown_as_their_length(filled: Lake) -> None:
    assert as_csv(filled, "SELECT content FROM images ORDER BY path") == [["content"], ["2,000 bytes"], ["3 bytes"]]


def test_times_are_utc(filled: Lake) -> None:
    assert as_csv(filled, "SELECT ingested_at FROM images LIMIT 1")[1] == ["2026-07-01 12:30:00"]


def test_two_columns_of_one_name_are_both_shown(filled: Lake) -> None:
    assert as_csv(filled, "SELECT a.label, b.label FROM images a, images b WHERE a.label = b.label") == [
        ["label", "label"],
        ["1", "1"],
    ]


def test_table_shows_names_as_they_are(filled: Lake) -> None:
    console = Console(file=io.StringIO(), width=120)

    console.print(as_table(query(filled, "SELECT path, label FROM images ORDER BY path")))

    shown = console.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO above
    assert "file:///a [red].jpg" in shown
    assert "NULL" in shown


def test_table_says_that_there_are_more_rows(filled: Lake) -> None:
    table = as_table(query(filled, "SELECT explode(sequence(1, 201)) AS n"))

    assert table.row_count == 200
    assert table.caption == "The first 200 rows; --csv gives all."
    assert as_table(query(filled, "SELECT explode(sequence(1, 200)) AS n")).caption is None


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("SELECT nothing FROM images", r"^query: \[UNRESOLVED_COLUMN"),
        ("SELECT * FROM pictures", r"^query: \[TABLE_OR_VIEW_NOT_FOUND"),
        ("SELECT FROM WHERE", r"^query: \["),
        ("DROP TABLE images", "^query: only statements that read"),
        ("", "^query: only statements that read"),
    ],
)
def test_a_statement_that_is_no_query_is_told_in_one_sentence(filled: Lake, statement: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as error:
        query(filled, statement)

    assert "\n" not in str(error.value)


def test_a_place_without_a_lake_is_told_and_none_is_made(lake: Lake) -> None:
    elsewhere = Lake(lake.spark, lake.root + "-elsewhere")

    with pytest.raises(InputError, match=r"^lake: no tables under 'file://.*-elsewhere'"):
        query(elsewhere, "SELECT 1")

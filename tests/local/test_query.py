"""`image-pipelines query`: names, values and errors."""

import csv
import io
import json
import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from rich.console import Console

from components.errors import InputError
from components.lake import Lake
from components.lake.tables import ANNOTATIONS, CLASSES, FILES, FOLDER, QUARANTINED
from pipelines.query.lake_query import query
from pipelines.query.output import Format, as_table, print_result, write_csv
from pipelines.query.print_query import print_query
from tests.support.earlier_lake import unpack_lake_of_0_1_0
from tests.support.lake_rows import append_images, append_rows
from tests.support.scored_lake import insert_predictions, succession


@pytest.fixture
def filled(lake: Lake) -> Lake:
    when = datetime(2026, 7, 1, 12, 30, tzinfo=UTC)
    append_images(lake, [("file:///a [red].jpg", b"x" * 2000, 1), ('file:///b,"b".jpg', b"abc", None)], when)
    append_rows(lake, CLASSES, [(1, "zero", None, FOLDER)])
    return lake


def as_csv(lake: Lake, statement: str) -> list[list[str]]:
    text = io.StringIO()
    write_csv(query(lake, statement), text)
    return list(csv.reader(io.StringIO(text.getvalue())))


def test_query_names_tables_and_the_view(filled: Lake) -> None:
    rows = as_csv(
        filled, "SELECT i.path, c.name FROM image_data i LEFT JOIN classes c ON i.label = c.label ORDER BY i.path"
    )

    assert rows == [["path", "name"], ["file:///a [red].jpg", "zero"], ['file:///b,"b".jpg', ""]]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r="])
def test_csv_makes_formulas_text_and_keeps_numbers(filled: Lake, start: str) -> None:
    when = datetime(2026, 7, 1, tzinfo=UTC)
    formula = f'{start}HYPERLINK("http://example.org","cat")'
    rows = [
        ("file", formula, "file:/a.jpg", "sha-a", 1, formula, when, None),
        ("file", "b-=1", "file:/b.jpg", "sha-b", 1, "", when, None),
    ]
    append_rows(filled, ANNOTATIONS, rows)

    written = as_csv(filled, "SELECT annotation_id, annotator, -label AS l FROM annotations ORDER BY path")

    assert written[1:] == [[f"'{formula}", f"'{formula}", "-1"], ["b-=1", "", "-1"]]


def test_quarantine_is_a_view_of_files_that_are_refused(filled: Lake) -> None:
    when = datetime(2026, 7, 2, tzinfo=UTC)
    refused = ("file:/c.jpg", None, 0, when, None, "sha-c", None, QUARANTINED, "empty file", None, when.date(), when)
    append_rows(filled, FILES, [refused])

    assert as_csv(filled, "SELECT * FROM quarantine") == [
        ["path", "modificationTime", "length", "source_sha256", "reason", "load_date"],
        ["file:/c.jpg", "2026-07-02 00:00:00", "0", "sha-c", "empty file", "2026-07-02"],
    ]


def test_lake_of_an_earlier_release_is_refused_and_not_migrated(spark: SparkSession, tmp_path: Path) -> None:
    earlier = Lake(spark, str(unpack_lake_of_0_1_0(tmp_path).lake))

    with pytest.raises(InputError, match=r"is a lake of an earlier release\. Run `image-pipelines lake migrate`"):
        query(earlier, "SELECT count(*) FROM images")

    assert not earlier.is_current()


def test_binary_values_are_shown_as_their_length(filled: Lake) -> None:
    assert as_csv(filled, "SELECT content FROM images ORDER BY path") == [["content"], ["2,000 bytes"], ["3 bytes"]]


def test_times_are_utc(filled: Lake) -> None:
    assert as_csv(filled, "SELECT ingested_at FROM images LIMIT 1")[1] == ["2026-07-01 12:30:00"]


def test_columns_with_the_same_name_are_both_shown(filled: Lake) -> None:
    assert as_csv(filled, "SELECT a.label, b.label FROM classes a, classes b WHERE a.label = b.label") == [
        ["label", "label"],
        ["1", "1"],
    ]


def test_json_has_numbers_lists_and_objects(filled: Lake) -> None:
    console = Console(file=io.StringIO())
    statement = "SELECT 1.50 AS n, true AS b, array(1, NULL) AS l, named_struct('a', NULL, 't', DATE'2026-07-01') AS s"

    print_result(query(filled, statement), Format.JSON, console)

    assert json.loads(console.file.getvalue()) == [  # type: ignore[attr-defined]  # it is the StringIO above
        {"n": 1.5, "b": True, "l": [1, None], "s": {"a": None, "t": "2026-07-01"}}
    ]


def test_table_shows_brackets_in_paths(filled: Lake) -> None:
    console = Console(file=io.StringIO(), width=120)

    console.print(as_table(query(filled, "SELECT path, folder_label FROM files ORDER BY path")))

    shown = console.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO above
    assert "file:///a [red].jpg" in shown
    assert "NULL" in shown


def test_table_mentions_further_rows(filled: Lake) -> None:
    table = as_table(query(filled, "SELECT explode(sequence(1, 201)) AS n"))

    assert table.row_count == 200
    assert table.caption == "The first 200 rows. --format csv and --format json print all."
    assert as_table(query(filled, "SELECT explode(sequence(1, 200)) AS n")).caption is None


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("SELECT i.lenght FROM images i", r"^query: unknown column 'i\.lenght'\. Did you mean i\.length\?"),
        ("SELECT lable FROM image_data", r"^query: unknown column 'lable'\. Did you mean label\?"),
        ("SELECT * FROM imagedata", r"^query: unknown table 'imagedata'\. Did you mean image_data\?"),
        ("SELECT cuont(*) FROM images", r"^query: unknown function 'cuont'\. Did you mean count\?"),
        ("SELECT 1 / (length - length) FROM files", r"^query: \[DIVIDE_BY_ZERO\]"),
        ("SELECT FROM WHERE )", r"^query: \[PARSE_SYNTAX_ERROR\]"),
        ("DROP TABLE images", "^query: only statements that read"),
        ("", "^query: only statements that read"),
    ],
)
def test_invalid_statement_is_refused_in_one_sentence(filled: Lake, statement: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as error:
        list(query(filled, statement).rows)

    assert "\n" not in str(error.value)


def test_invalid_statement_logs_no_stack_trace(filled: Lake, caplog: pytest.LogCaptureFixture) -> None:
    # PySpark's loggers do not propagate to the root logger.
    logger = logging.getLogger("SQLQueryContextLogger")
    logger.addHandler(caplog.handler)
    try:
        with pytest.raises(InputError, match="unknown column"):
            query(filled, "SELECT nothing FROM images")
    finally:
        logger.removeHandler(caplog.handler)

    assert caplog.records == []


def test_missing_lake_is_reported_and_not_created(lake: Lake) -> None:
    elsewhere = Lake(lake.spark, lake.root + "-elsewhere")

    with pytest.raises(InputError, match=r"^lake: no lake at 'file://.*-elsewhere'\."):
        query(elsewhere, "SELECT 1")


@pytest.mark.slow
def test_view_shows_predictions_of_the_given_succession(filled: Lake) -> None:
    path = "file:///a [red].jpg"
    insert_predictions(filled, {path: 0.5}, "1", label=3)
    insert_predictions(filled, {path: 0.5}, "2", label=5)
    statement = f"SELECT predicted_label FROM image_data WHERE path = '{path}'"

    shown = [next(query(filled, statement, succession(*versions)).rows) for versions in (("2", "1"), ("1",))]

    assert shown == [("5",), ("3",)]


@pytest.mark.parametrize(
    ("tracking", "sentence"),
    [
        ("", r"^mlflow_tracking_uri: not set\."),
        ("http://127.0.0.1:1", r"^mlflow_tracking_uri: 'http://127.0.0.1:1' can't be reached to find the champion"),
    ],
    ids=["not set", "away"],
)
def test_view_without_a_registry_is_refused(
    filled: Lake, monkeypatch: pytest.MonkeyPatch, tracking: str, sentence: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    with pytest.raises(InputError, match=rf"{sentence}.* 'image_data' shows the champion's predictions"):
        print_query("SELECT count(predicted_label) FROM Image_Data", filled.root, Format.TABLE, Console())

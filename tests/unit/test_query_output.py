"""Results of queries as table, CSV and JSON."""

import io
import json
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from pipelines.query.output import Format, print_result
from pipelines.query.result import Kind, QueryResult

KINDS = (Kind.TEXT, Kind.NUMBER, Kind.BOOLEAN, Kind.JSON)


def printed(
    form: Format, columns: tuple[str, ...], kinds: tuple[Kind, ...], rows: Iterable[tuple[str | None, ...]]
) -> str:
    stream = io.StringIO()
    print_result(QueryResult(columns, kinds, iter(rows)), form, Console(file=stream, width=100))
    return stream.getvalue()


def test_json_has_an_object_for_each_row_with_values_of_their_kind() -> None:
    rows = [('file:/"a".jpg', "1.5E-7", "true", "[1,null]"), (None, "NaN", None, None)]

    objects = json.loads(printed(Format.JSON, ("path", "n", "b", "l"), KINDS, rows))

    assert objects == [
        {"path": 'file:/"a".jpg', "n": 1.5e-7, "b": True, "l": [1, None]},
        {"path": None, "n": "NaN", "b": None, "l": None},
    ]


def test_json_without_rows_is_an_empty_list() -> None:
    assert json.loads(printed(Format.JSON, ("a",), (Kind.TEXT,), [])) == []


@pytest.mark.parametrize(
    ("columns", "names"),
    [(("a", "a", "b", "a"), ["a", "a_2", "b", "a_3"]), (("a", "a", "a_2"), ["a", "a_3", "a_2"])],
)
def test_json_numbers_columns_of_the_same_name(columns: tuple[str, ...], names: list[str]) -> None:
    row = tuple(str(index) for index in range(len(columns)))

    (shown,) = json.loads(printed(Format.JSON, columns, (Kind.NUMBER,) * len(columns), [row]))

    assert shown == dict(zip(names, range(len(columns)), strict=True))


@given(st.lists(st.tuples(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")))))
def test_json_keeps_every_text(rows: list[tuple[str, str]]) -> None:
    shown = json.loads(printed(Format.JSON, ("a", "b"), (Kind.TEXT, Kind.TEXT), rows))

    assert [(each["a"], each["b"]) for each in shown] == rows


def test_table_and_csv_show_the_same_rows() -> None:
    columns, kinds, rows = ("path", "n"), (Kind.TEXT, Kind.NUMBER), [("file:/a [red].jpg", "-1"), ("b", None)]

    assert printed(Format.CSV, columns, kinds, rows) == "path,n\nfile:/a [red].jpg,-1\nb,\n"
    assert "file:/a [red].jpg     -1" in printed(Format.TABLE, columns, kinds, rows)

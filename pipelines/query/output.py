"""The result of a query as a table for the terminal, as CSV or as JSON."""

import csv
import json
import re
from collections.abc import Sequence
from enum import StrEnum
from itertools import chain, count, islice
from typing import IO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.query.result import Kind, QueryResult

# Maximum number of rows in the terminal. CSV and JSON contain all rows.
MAXIMUM_ROWS = 200
# A formula begins with one of these characters, or a spreadsheet ignores the character before a formula.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
# A number in JSON. Spark also has NaN and infinities, which JSON lacks.
_JSON_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?", re.ASCII)


class Format(StrEnum):
    """How a result is printed.

    Attributes:
        TABLE: As a table for people, with the first 200 rows.
        CSV: As comma-separated values.
        JSON: As a list of objects.
    """

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def print_result(result: QueryResult, form: Format, console: Console) -> None:
    """Print a result.

    Args:
        result: The result.
        form: The format.
        console: The console.
    """
    if form is Format.CSV:
        write_csv(result, console.file)
    elif form is Format.JSON:
        write_json(result, console.file)
    else:
        console.print(as_table(result))


def as_table(result: QueryResult) -> Table:
    """Return the first 200 rows as a table, with a caption if there are more."""
    table = Table(box=box.SIMPLE_HEAD)
    for name, kind in zip(result.columns, result.kinds, strict=True):
        table.add_column(Text(name), justify="right" if kind is Kind.NUMBER else "left", overflow="fold")
    for row in islice(result.rows, MAXIMUM_ROWS):
        # Text, because Rich would read brackets in a path as markup.
        table.add_row(*(Text("NULL", style="dim") if value is None else Text(value) for value in row))
    if next(result.rows, None) is not None:
        table.caption = f"The first {MAXIMUM_ROWS} rows. --format csv and --format json print all."
    return table


def write_csv(result: QueryResult, stream: IO[str]) -> None:
    """Write all rows as CSV with a header. NULL is an empty field.

    A text that a spreadsheet would run as a formula gets a leading `'`, because annotators can write any text into the
    lake. OWASP recommends this against CSV injection: https://owasp.org/www-community/attacks/CSV_Injection.
    """
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(result.columns)
    for row in result.rows:
        writer.writerow(
            value if kind is Kind.NUMBER else _inert(value) for value, kind in zip(row, result.kinds, strict=True)
        )


def write_json(result: QueryResult, stream: IO[str]) -> None:
    """Write all rows as a list of JSON objects, one object per line.

    If columns have the same name, the second one gets the suffix `_2`.
    """
    names = [json.dumps(name) for name in _unique(result.columns)]
    stream.write("[")
    separator = "\n"
    for row in result.rows:
        fields = (
            f"{name}: {_as_json(value, kind)}" for name, value, kind in zip(names, row, result.kinds, strict=True)
        )
        stream.write(f"{separator}{{{', '.join(fields)}}}")
        separator = ",\n"
    stream.write("\n]\n" if separator != "\n" else "]\n")


def _unique(names: Sequence[str]) -> list[str]:
    """Return the names, with a number after a name that occurred before."""
    unique: list[str] = []
    for name in names:
        others = {*unique, *(each for each in names if each != name)}
        numbered = (f"{name}_{number}" for number in count(2))
        unique.append(next(each for each in chain([name], numbered) if each not in others))
    return unique


def _as_json(value: str | None, kind: Kind) -> str:
    if value is None:
        return "null"
    if kind in (Kind.BOOLEAN, Kind.JSON) or (kind is Kind.NUMBER and _JSON_NUMBER.fullmatch(value)):
        return value
    return json.dumps(value, ensure_ascii=False)


def _inert(text: str | None) -> str | None:
    return f"'{text}" if text and text.startswith(_FORMULA_STARTS) else text

"""The result of a query as a table for the terminal, or as CSV."""

import csv
from itertools import islice
from typing import TextIO

from rich import box
from rich.table import Table
from rich.text import Text

from pipelines.query.lake_query import QueryResult

# Maximum number of rows in the terminal. CSV contains all rows.
MAXIMUM_ROWS = 200
# A formula begins with one of these characters, or a spreadsheet ignores the character before a formula.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def as_table(result: QueryResult) -> Table:
    """Return the first 200 rows as a table, with a caption if there are more."""
    table = Table(box=box.SIMPLE_HEAD)
    for name, numeric in zip(result.columns, result.numeric, strict=True):
        table.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
    for row in islice(result.rows, MAXIMUM_ROWS):
        # Text, because Rich would read brackets in a path as markup.
        table.add_row(*(Text("NULL", style="dim") if value is None else Text(value) for value in row))
    if next(result.rows, None) is not None:
        table.caption = f"The first {MAXIMUM_ROWS} rows. --csv prints all."
    return table


def write_csv(result: QueryResult, stream: TextIO) -> None:
    """Write all rows as CSV with a header. NULL is an empty field.

    A text that a spreadsheet would run as a formula gets a leading `'`, because annotators can write any text into the
    lake. OWASP recommends this against CSV injection: https://owasp.org/www-community/attacks/CSV_Injection.
    """
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(result.columns)
    for row in result.rows:
        writer.writerow(value if numeric else _inert(value) for value, numeric in zip(row, result.numeric, strict=True))


def _inert(text: str | None) -> str | None:
    return f"'{text}" if text and text.startswith(_FORMULA_STARTS) else text

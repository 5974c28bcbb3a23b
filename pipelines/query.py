"""SQL over a lake, for people: a table in the terminal, or CSV."""

import csv
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TextIO

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, NumericType
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from components.errors import InputError
from components.lake import Lake, spark_session
from components.settings import Settings
from components.storage import Access, open_store, uri

# What a terminal shows; CSV has all rows.
MAXIMUM_ROWS = 200
# What a spreadsheet takes for the beginning of a formula, or drops from before one.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
_READING = ("SELECT", "WITH", "VALUES", "TABLE", "SHOW", "DESCRIBE", "DESC", "EXPLAIN")


@dataclass(frozen=True)
class QueryResult:
    """The answer to a query, read while it is gone through: once.

    Attributes:
        columns: Names of the columns.
        numeric: Whether each column holds numbers.
        rows: Values as text, None for NULL; binary ones as their length.
    """

    columns: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: Iterator[tuple[str | None, ...]]


def print_query(statement: str, lake: str, as_csv: bool, console: Console) -> None:
    """Ask a lake and print the answer, and nothing of Spark's own.

    Args:
        statement: A SQL query.
        lake: Root URI of the lake; empty takes it from the settings.
        as_csv: Whether to print CSV to standard output instead of a table.
        console: Where a table goes.

    Raises:
        InputError: See `query`; or no lake is named.
    """
    settings = Settings.load(lake=lake)
    root = uri.normalize(settings.required("lake"), "lake")
    open_store(root, Access.of(settings)).check(root)
    with _quiet_start():
        spark = spark_session(settings)
    try:
        result = query(Lake(spark, root), statement)
        if as_csv:
            write_csv(result, sys.stdout)
        else:
            console.print(as_table(result))
    finally:
        spark.stop()


def query(lake: Lake, statement: str) -> QueryResult:
    """Ask the lake, with its tables and the view `image_data` known by their names. Times are UTC.

    Args:
        lake: The lake.
        statement: A SQL query.

    Raises:
        InputError: The statement is not a query, or Spark can't make sense of it; or there is no lake.
    """
    words = statement.lstrip(" \t\n(").split(maxsplit=1)
    if not words or words[0].upper() not in _READING:
        raise InputError("query: only statements that read are taken. Begin it with SELECT or WITH.")
    try:
        lake.register_views()
    except AnalysisException as error:
        raise InputError(
            f"lake: no tables under '{lake.root}'. Run the training pipeline first, or name another lake."
        ) from error
    try:
        frame = lake.spark.sql(statement)
    except AnalysisException as error:
        sentence = str(error).strip().splitlines()[0]
        raise InputError(f"query: {sentence} Columns are listed by DESCRIBE <table>.") from error
    types = [field.dataType for field in frame.schema.fields]
    return QueryResult(
        columns=tuple(frame.columns),
        numeric=tuple(isinstance(kind, NumericType) for kind in types),
        rows=(tuple(row) for row in _as_text(frame).toLocalIterator()),
    )


def as_table(result: QueryResult) -> Table:
    """Return the first 200 rows as a table for the terminal; its caption says whether there are more."""
    table = Table(box=box.SIMPLE_HEAD)
    for name, numeric in zip(result.columns, result.numeric, strict=True):
        table.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
    for row in islice(result.rows, MAXIMUM_ROWS):
        # Text, because a path may hold what Rich takes for markup.
        table.add_row(*(Text("NULL", style="dim") if value is None else Text(value) for value in row))
    if next(result.rows, None) is not None:
        table.caption = f"The first {MAXIMUM_ROWS} rows; --csv gives all."
    return table


def write_csv(result: QueryResult, stream: TextIO) -> None:
    """Write all rows as CSV with a header; NULL is an empty field.

    A text that a spreadsheet would run as a formula gets a `'` before it, as OWASP advises under "CSV Injection"
    (https://owasp.org/www-community/attacks/CSV_Injection): answers are other people's, and so are their cells.
    """
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(result.columns)
    for row in result.rows:
        writer.writerow(value if numeric else _inert(value) for value, numeric in zip(row, result.numeric, strict=True))


def _inert(text: str | None) -> str | None:
    return f"'{text}" if text and text.startswith(_FORMULA_STARTS) else text


def _as_text(frame: DataFrame) -> DataFrame:
    """Turn all columns into text inside Spark, so that no image's bytes travel and times stay UTC."""
    # By position: two columns of a query may have one name.
    renamed = frame.toDF(*(f"_{index}" for index in range(len(frame.columns))))
    return renamed.select(
        *(
            F.concat(F.format_number(F.length(field.name), 0), F.lit(" bytes"))
            if isinstance(field.dataType, BinaryType)
            else F.col(field.name).cast("string")
            for field in renamed.schema.fields
        )
    )


@contextmanager
def _quiet_start() -> Iterator[None]:
    """Keep what the JVM that is started meanwhile says from the terminal, for good; show it if the start fails."""
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        except BaseException:
            said.seek(0)
            os.write(terminal, said.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)

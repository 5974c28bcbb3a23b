"""Tables with a header, separated by commas, semicolons or tabs."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator

from components.labeling.formats.annotation import LeftOut, Row
from components.labeling.formats.records import Reader, table_reader
from components.labeling.formats.values import shown

_SEPARATORS = ",;\t"
# A first line by which spreadsheets choose the separator.
_SEPARATOR_LINE = re.compile(r'\s*"?sep=(?P<separator>[,;\t|])"?[,;\t|]*\s*', re.IGNORECASE)
_NEEDED = "It needs path with label or name, or Url with Label."
_SHOWN_COLUMNS = 10


def rows(text: str) -> Iterator[Row]:
    """Yield the rows of a file."""
    first, _, _ = text.partition("\n")
    chosen = _SEPARATOR_LINE.fullmatch(first)
    separators = chosen["separator"] if chosen else _SEPARATORS
    headers = {each: _header(text, each, after=1 if chosen else 0) for each in separators}
    readers = {each: table_reader(header) for each, header in headers.items()}
    separator = next((each for each, reader in readers.items() if reader), None)
    if separator is None:
        widest = max(headers.values(), key=len)
        if text.strip():
            yield Row("", _unknown_header(widest))
        return
    columns, reader = headers[separator], readers[separator]
    assert reader is not None
    repeated = [column for column, count in Counter(columns).items() if column and count > 1]
    if repeated:
        yield Row("", LeftOut(f"The header has the column {shown(repeated[0])} twice. Remove one of them."))
        return
    records = _records(text, separator, after=1 if chosen else 0)
    next(records)
    for line, record in records:
        yield _row(f"line {line}", columns, record, reader)


def _row(position: str, columns: list[str], record: list[str] | str, reader: Reader) -> Row:
    if isinstance(record, str):
        return Row(position, LeftOut(record))
    extra = len(record) - len(columns)
    if extra < 0 or any(cell.strip() for cell in record[len(columns) :]):
        return Row(
            position,
            LeftOut(
                f"The line has {len(record)} fields, the header {len(columns)}. Correct it; put cells with separators"
                " in quotes."
            ),
        )
    return reader(position, {column: cell for column, cell in zip(columns, record, strict=False) if column})


def _header(text: str, separator: str, after: int) -> list[str]:
    """Return the names of the columns in lower case; none for an empty file."""
    _, header = next(_records(text, separator, after), (0, []))
    return [] if isinstance(header, str) else [column.strip().lower() for column in header]


def _records(text: str, separator: str, after: int) -> Iterator[tuple[int, list[str] | str]]:
    """Yield the records that are not blank, each with its first line.

    Args:
        text: The file.
        separator: Separator of the cells.
        after: Number of lines to pass over.

    Yields:
        Number of the line, and the cells or the reason why they can't be read.
    """
    lines = io.StringIO(text, newline="")
    for _ in range(after):
        lines.readline()
    reader = csv.reader(lines, delimiter=separator, strict=True, skipinitialspace=True)
    while True:
        line = after + reader.line_num + 1
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, _explain(str(error))
            continue
        if any(cell.strip() for cell in record):
            yield line, record


def _explain(error: str) -> str:
    if error == "unexpected end of data":
        return "A quote that opens in this line is never closed. Close it, or write two quotes for one."
    return f"The line is not valid CSV: {error}. Export the file again."


def _unknown_header(columns: list[str]) -> LeftOut:
    if not columns:
        return LeftOut(f"The file has no header, or a quote in it is never closed. {_NEEDED}")
    found = ", ".join(shown(column) for column in columns[:_SHOWN_COLUMNS])
    more = ", ..." if len(columns) > _SHOWN_COLUMNS else ""
    return LeftOut(f"The header has the columns {found}{more}. {_NEEDED}")

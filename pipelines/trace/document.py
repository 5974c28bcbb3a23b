"""A trace as a document. Its text and its page have the same content."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

import numpy as np
from rich.cells import cell_len

from components.report import Cell, Picture, Report, new_figure
from components.report.numbers import format_column, format_value, is_number

_GAP = "  "


@dataclass(frozen=True)
class Table:
    """A table of a document.

    Attributes:
        caption: Headline.
        columns: Names of the columns, with their units.
        rows: Values in the order of the columns.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True)
class Days:
    """Numbers by day, for a chart on the page. A table of the document has them, too.

    Attributes:
        caption: Headline.
        unit: What is counted, e.g. `images`.
        counts: Number by day.
    """

    caption: str
    unit: str
    counts: Mapping[date, int]


@dataclass(frozen=True)
class Document:
    """A trace for readers.

    Attributes:
        title: Subject.
        subtitle: The lake or model.
        summary: The trace in a few sentences.
        figures: Main figures, by name.
        reasons: Reasons for the current state, as sentences.
        tables: The tables.
        picture: The current picture, on the page only; None without one.
        earlier: Earlier pictures, on the page only.
        days: A chart on the page; None without one.
    """

    title: str
    subtitle: str
    summary: str
    figures: Mapping[str, str]
    reasons: Sequence[str]
    tables: Sequence[Table]
    picture: Picture | None = None
    earlier: Sequence[Picture] = field(default=())
    days: Days | None = None


def as_text(document: Document) -> str:
    """Return a document as text: aligned columns, and no line breaks by width.

    Control characters are replaced, because file names and names of people come from outside.
    """
    width = max(map(cell_len, document.figures), default=0)
    lines = [document.title, document.subtitle, "", document.summary, ""]
    lines += [f"{_fill(name, width)}{_GAP}{value}" for name, value in document.figures.items()]
    lines += ["", *document.reasons]
    for table in document.tables:
        lines += ["", table.caption, "-" * cell_len(table.caption), *_table_lines(table)]
    return "\n".join(map(_inert, lines)) + "\n"


def as_report(document: Document) -> Report:
    """Return a document as a page."""
    report = Report(document.title, document.subtitle, document.summary)
    if document.picture is not None:
        report.picture("Picture", document.picture)
    report.figures(document.figures)
    for reason in document.reasons:
        report.text(reason)
    if document.days is not None:
        _add_chart(report, document.days)
    for table in document.tables:
        report.table(table.caption, table.columns, table.rows)
    if document.earlier:
        report.gallery("Earlier pictures, newest first", document.earlier)
    return report


def show_time(time: datetime | None) -> str | None:
    """Return a time in UTC as text, in whole seconds; None stays None."""
    return None if time is None else f"{time:%Y-%m-%d %H:%M:%S}"


def _table_lines(table: Table) -> list[str]:
    if not table.rows:
        return ["None."]
    columns = [
        [name, *_format(cells)] for name, cells in zip(table.columns, zip(*table.rows, strict=True), strict=True)
    ]
    widths = [max(map(cell_len, column)) for column in columns]
    is_right = [any(map(is_number, cells)) for cells in zip(*table.rows, strict=True)]
    return [_GAP.join(map(_fill, row, widths, is_right)).rstrip() for row in zip(*columns, strict=True)]


def _format(cells: Sequence[Cell]) -> list[str]:
    """Format the cells of a column in one line each, as the page does."""
    is_numeric = all(cell is None or is_number(cell) for cell in cells)
    texts = format_column(cells) if is_numeric else list(map(format_value, cells))
    return [_inert(" ".join(text.split())) for text in texts]


def _fill(text: str, width: int, is_right: bool = False) -> str:
    """Pad a text by its width in a terminal, where some characters take two places."""
    blanks = " " * (width - cell_len(text))
    return blanks + text if is_right else text + blanks


def _inert(text: str) -> str:
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def _add_chart(report: Report, days: Days) -> None:
    with new_figure(height=2.6) as (figure, axes):
        axes.bar(np.array(list(days.counts), "datetime64[D]"), list(days.counts.values()), width=0.9)
        figure.autofmt_xdate(rotation=30)
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.set_ylabel(days.unit)
    total = sum(days.counts.values())
    report.chart(
        days.caption,
        figure,
        alt=f"{total:,} {days.unit} on {len(days.counts):,} days. The table below has the figures",
    )

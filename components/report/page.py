"""The page that a component reports on."""

import html
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Self, TypeAlias

import jinja2
from matplotlib.figure import Figure

from components.report.charts import data_uri
from components.report.numbers import format_column, format_value, is_number
from components.report.thumbnails import Thumbnail, thumbnail

Cell: TypeAlias = str | float | None

MAXIMUM_BYTES = 2_000_000
MAXIMUM_ROWS = 500
MAXIMUM_PICTURES = 300
_MAXIMUM_CHARACTERS = 400
# A longer word is broken where its column of a table ends.
_LONGEST_WORD = 24
# The template's own bytes around one item, rounded up.
_MARKUP_BYTES = 400
_RESERVE_BYTES = 50_000


@dataclass(frozen=True)
class Picture:
    """A picture of a gallery.

    Attributes:
        content: The image file's bytes.
        caption: What to know about it, as in `seven, 91.2 %`.
        path: Which image it is.
    """

    content: bytes
    caption: str
    path: str


@dataclass(frozen=True)
class _Shown:
    """A value as the page shows it."""

    text: str
    number: bool

    @property
    def style(self) -> str:
        """Its class in the style sheet, or an empty text."""
        if self.number:
            return "number"
        return "long" if max(map(len, self.text.split()), default=0) > _LONGEST_WORD else ""


@dataclass(frozen=True)
class _Text:
    kind = "text"
    text: str
    is_warning: bool = False


@dataclass(frozen=True)
class _Figures:
    kind = "figures"
    values: Mapping[str, str]


@dataclass(frozen=True)
class _Links:
    kind = "links"
    caption: str
    links: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class _Chart:
    kind = "chart"
    caption: str
    alt: str
    uri: str


@dataclass(frozen=True)
class _Table:
    kind = "table"
    caption: str
    columns: Sequence[_Shown]
    rows: Sequence[Sequence[_Shown]]
    left_out: int


@dataclass(frozen=True)
class _Item:
    """A picture of the page; `thumbnail` is None for one that can't be shown."""

    thumbnail: Thumbnail | None
    caption: str
    path: str

    @property
    def alt(self) -> str:
        return f"{self.caption} ({self.path})" if self.caption else self.path


@dataclass(frozen=True)
class _Gallery:
    kind = "gallery"
    caption: str
    items: Sequence[_Item]
    left_out: int


_Block: TypeAlias = _Text | _Figures | _Links | _Chart | _Table | _Gallery


class Report:
    """A self-contained HTML page under 2 MB, filled from top to bottom.

    When the page would grow too large, rows of tables and pictures of galleries are left out, and the page says how
    many.

    Args:
        title: What the page is about.
        subtitle: Below the title, in small letters.
    """

    def __init__(self, title: str, subtitle: str = "") -> None:
        self._title = title
        self._subtitle = subtitle
        self._blocks: list[_Block] = []

    def figures(self, values: Mapping[str, Cell]) -> Self:
        """Add key figures, large.

        Args:
            values: Figure by name. A unit belongs into the name or, as text, into the figure (`"12.3 s"`).
        """
        return self._add(_Figures({_clip(name): _clip(format_value(value)) for name, value in values.items()}))

    def text(self, text: str) -> Self:
        """Add a paragraph."""
        return self._add(_Text(text))

    def warning(self, text: str) -> Self:
        """Add a paragraph that nobody overlooks."""
        return self._add(_Text(f"Warning: {text}", is_warning=True))

    def links(self, caption: str, links: Sequence[tuple[str, str]]) -> Self:
        """Add links to other pages.

        Args:
            caption: Headline.
            links: Text and relative address of each.
        """
        return self._add(_Links(caption, list(links)))

    def table(self, caption: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Self:
        """Add a table. Numbers stand with their decimal points below each other; at most 500 rows are shown.

        Args:
            caption: Headline.
            columns: Name of each column, with its unit.
            rows: Values of each row, in the order of the columns.
        """
        kept = rows[:MAXIMUM_ROWS]
        heads, *lines = zip(
            *(_column(name, [row[index] for row in kept]) for index, name in enumerate(columns)), strict=True
        )
        return self._add(_Table(caption, heads, lines, len(rows) - len(kept)))

    def gallery(self, caption: str, pictures: Sequence[Picture]) -> Self:
        """Add small copies of pictures, 300 at most. One that Pillow can't read is a placeholder with its path.

        Args:
            caption: Headline.
            pictures: The pictures, most telling first.
        """
        shown = pictures[:MAXIMUM_PICTURES]
        items = [_Item(thumbnail(picture.content), picture.caption, picture.path) for picture in shown]
        return self._add(_Gallery(caption, items, len(pictures) - len(items)))

    def chart(self, caption: str, figure: Figure, alt: str = "") -> Self:
        """Add a chart.

        Args:
            caption: Headline.
            figure: The chart, as from `new_figure`.
            alt: What the chart shows, for who can't see it; the caption if empty.
        """
        return self._add(_Chart(caption, alt or caption, data_uri(figure)))

    def html(self) -> str:
        """Return the page."""
        return _template().render(title=self._title, subtitle=self._subtitle, blocks=_within_limit(self._blocks))

    def write(self, path: str | Path) -> None:
        """Write the page to `path`, whole or not at all.

        Args:
            path: The file; its folder is made if there is none.
        """
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=target.parent, suffix=".part", delete=False
        ) as part:
            try:
                part.write(self.html())
                part.close()
                Path(part.name).chmod(0o644)
                os.replace(part.name, target)
            except BaseException:
                Path(part.name).unlink(missing_ok=True)
                raise

    def _add(self, block: _Block) -> Self:
        self._blocks.append(block)
        return self


class _Budget:
    """Bytes that are left on the page."""

    def __init__(self, bytes_left: int) -> None:
        self._left = bytes_left

    def take(self, *texts: str) -> bool:
        """Set aside what an item of these texts needs; False when there is not enough left."""
        cost = _MARKUP_BYTES + sum(len(html.escape(text).encode()) for text in texts)
        if cost > self._left:
            return False
        self._left -= cost
        return True


def _within_limit(blocks: Sequence[_Block]) -> list[_Block]:
    """Drop what does not fit: charts are served first, then tables, then galleries, wherever they stand."""
    budget = _Budget(MAXIMUM_BYTES - _RESERVE_BYTES)
    fitted = list(blocks)
    for index, block in enumerate(blocks):
        if isinstance(block, _Chart) and not budget.take(block.uri, block.alt, block.caption):
            fitted[index] = _Text(f"{block.caption}: left out, the page would be too large.")
    for index, block in enumerate(blocks):
        if isinstance(block, _Table):
            rows = [row for row in block.rows if budget.take(*(cell.text for cell in row))]
            fitted[index] = replace(block, rows=rows, left_out=block.left_out + len(block.rows) - len(rows))
    for index, block in enumerate(blocks):
        if isinstance(block, _Gallery):
            items = [item for item in block.items if budget.take(*_texts(item))]
            fitted[index] = replace(block, items=items, left_out=block.left_out + len(block.items) - len(items))
    return fitted


def _column(name: str, cells: Sequence[Cell]) -> list[_Shown]:
    """Return a column of a table, its head first."""
    is_numeric = any(map(is_number, cells)) and all(cell is None or is_number(cell) for cell in cells)
    texts = format_column(cells) if is_numeric else map(format_value, cells)
    shown = [_Shown(_clip(text), is_numeric or is_number(cell)) for text, cell in zip(texts, cells, strict=True)]
    return [_Shown(name, is_numeric), *shown]


def _texts(item: _Item) -> list[str]:
    # The path stands on the page three times: in the alt text, under the picture and as its tooltip.
    return [item.thumbnail.uri if item.thumbnail else "", item.caption, item.caption, item.path, item.path, item.path]


def _clip(text: str) -> str:
    return text if len(text) <= _MAXIMUM_CHARACTERS else text[: _MAXIMUM_CHARACTERS - 1] + "…"


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("components.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("report.html.j2")

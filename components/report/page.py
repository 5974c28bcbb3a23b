"""The HTML page of a report."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Self, TypeAlias

import jinja2
from matplotlib.figure import Figure

from components.atomic_write import atomic_write
from components.report.charts import data_uri
from components.report.numbers import format_column, format_value, is_number
from components.report.preview import Preview
from components.report.thumbnails import Thumbnail, thumbnail

Cell: TypeAlias = str | float | None

MAXIMUM_BYTES = 2_000_000
MAXIMUM_ROWS = 500
MAXIMUM_PICTURES = 300
# Longest name, figure or table cell, in characters.
_MAXIMUM_CHARACTERS = 400
# Longest word of a table cell that is never broken, in characters.
_LONGEST_WORD = 24
# Longest text of a table cell that stays on one line, in characters.
_LONGEST_LINE = 30
# Maximum width and height of a picture that stands alone, in pixels.
_PICTURE_SIDE = 640
# Bytes of markup around one item, rounded up.
_MARKUP_BYTES = 400
_RESERVE_BYTES = 50_000


@dataclass(frozen=True)
class Picture:
    """A picture of a gallery.

    Attributes:
        content: Bytes of the image file.
        caption: Text below the picture, e.g. `seven, 91.2%`.
        path: Path of the image.
    """

    content: bytes
    caption: str
    path: str


@dataclass(frozen=True)
class Card:
    """A link to another report, with a preview of it.

    Attributes:
        name: Text above the title, e.g. the task's name.
        address: Relative address of the report.
        preview: The preview.
    """

    name: str
    address: str
    preview: Preview


@dataclass(frozen=True)
class _FormattedCell:
    """A value of a table, formatted."""

    text: str
    number: bool

    @property
    def style(self) -> str:
        """CSS class; empty for none."""
        if self.number:
            return "number"
        if max(map(len, self.text.split()), default=0) > _LONGEST_WORD:
            return "long"
        return "" if len(self.text) > _LONGEST_LINE else "short"


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
class _Cards:
    kind = "cards"
    caption: str
    cards: Sequence[Card]


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
    columns: Sequence[_FormattedCell]
    rows: Sequence[Sequence[_FormattedCell]]
    left_out: int


@dataclass(frozen=True)
class _Item:
    """A picture of a gallery; `thumbnail` is None if Pillow can't read the image."""

    thumbnail: Thumbnail | None
    caption: str
    path: str

    @property
    def alt(self) -> str:
        return f"{self.caption} ({self.path})" if self.caption else self.path


@dataclass(frozen=True)
class _Picture:
    kind = "picture"
    caption: str
    item: _Item


@dataclass(frozen=True)
class _Gallery:
    kind = "gallery"
    caption: str
    items: Sequence[_Item]
    left_out: int


_Block: TypeAlias = _Text | _Figures | _Cards | _Chart | _Table | _Picture | _Gallery


class Report:
    """A self-contained HTML page of less than 2 MB, filled from top to bottom.

    If the page would become too large, it omits rows of tables and pictures, and states how many.

    Args:
        title: Subject of the page.
        subtitle: Text below the title, e.g. the data that the report describes.
        summary: The report in one sentence. `read_preview` finds it.
    """

    def __init__(self, title: str, subtitle: str = "", summary: str = "") -> None:
        self._title = title
        self._subtitle = subtitle
        self._summary = summary
        self._blocks: list[_Block] = []

    def figures(self, values: Mapping[str, Cell]) -> Self:
        """Add key figures in large type.

        Args:
            values: Figure by name. The unit is part of the name or, if the figure is text, of the figure (`"12.3 s"`).
        """
        return self._add(_Figures({_clip(name): _clip(format_value(value)) for name, value in values.items()}))

    def text(self, text: str) -> Self:
        """Add a paragraph."""
        return self._add(_Text(text))

    def warning(self, text: str) -> Self:
        """Add a highlighted paragraph."""
        return self._add(_Text(f"Warning: {text}", is_warning=True))

    def cards(self, caption: str, cards: Sequence[Card]) -> Self:
        """Add links to other reports, with a preview of each.

        Args:
            caption: Headline.
            cards: The links.
        """
        return self._add(_Cards(caption, list(cards)))

    def table(self, caption: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Self:
        """Add a table with its numbers aligned at their decimal points; it shows at most 500 rows.

        Args:
            caption: Headline.
            columns: Names of the columns, with their units.
            rows: Values of the rows, in the order of the columns.
        """
        visible = rows[:MAXIMUM_ROWS]
        header, *lines = zip(
            *(_column(name, [row[index] for row in visible]) for index, name in enumerate(columns)), strict=True
        )
        return self._add(_Table(caption, header, lines, len(rows) - len(visible)))

    def picture(self, caption: str, picture: Picture) -> Self:
        """Add one picture, at most 640 pixels wide and high.

        A file that Pillow can't read becomes a placeholder with its path.

        Args:
            caption: Headline.
            picture: The picture.
        """
        item = _Item(thumbnail(picture.content, _PICTURE_SIDE), picture.caption, picture.path)
        return self._add(_Picture(caption, item))

    def gallery(self, caption: str, pictures: Sequence[Picture]) -> Self:
        """Add thumbnails of at most 300 pictures.

        A file that Pillow can't read becomes a placeholder with its path.

        Args:
            caption: Headline.
            pictures: The pictures, most important first.
        """
        shown = pictures[:MAXIMUM_PICTURES]
        items = [_Item(thumbnail(picture.content), picture.caption, picture.path) for picture in shown]
        return self._add(_Gallery(caption, items, len(pictures) - len(items)))

    def chart(self, caption: str, figure: Figure, alt: str = "") -> Self:
        """Add a chart.

        Args:
            caption: Headline.
            figure: The chart, drawn on a `new_figure`.
            alt: Description of the chart for people who can't see it; the caption if empty.
        """
        return self._add(_Chart(caption, alt or caption, data_uri(figure)))

    def html(self) -> str:
        """Return the page."""
        return _template().render(
            title=self._title, subtitle=self._subtitle, summary=self._summary, blocks=_within_limit(self._blocks)
        )

    def write(self, path: str | Path) -> None:
        """Write the page atomically.

        Args:
            path: The file; missing folders are created.
        """
        with atomic_write(Path(path)) as file:
            file.write(self.html().encode())

    def _add(self, block: _Block) -> Self:
        self._blocks.append(block)
        return self


class _Budget:
    """Remaining bytes of a page."""

    def __init__(self, bytes_left: int) -> None:
        self._left = bytes_left

    def take(self, *texts: str) -> bool:
        """Reserve the bytes of an item with these texts; return False if too few remain."""
        cost = _MARKUP_BYTES + sum(len(html.escape(text).encode()) for text in texts)
        if cost > self._left:
            return False
        self._left -= cost
        return True


def _within_limit(blocks: Sequence[_Block]) -> list[_Block]:
    """Omit what exceeds the page's bytes. Priority: pictures, charts, cards, tables, galleries."""
    budget = _Budget(MAXIMUM_BYTES - _RESERVE_BYTES)
    fitted = list(blocks)
    for block in blocks:
        if isinstance(block, _Picture):
            budget.take(block.caption, *_texts(block.item))
    for index, block in enumerate(blocks):
        if isinstance(block, _Chart) and not budget.take(block.uri, block.alt, block.caption):
            fitted[index] = _Text(f"{block.caption}: omitted, because the page would be too large.")
    for index, block in enumerate(blocks):
        if isinstance(block, _Cards):
            fitted[index] = replace(block, cards=[_fit(card, budget) for card in block.cards])
    for index, block in enumerate(blocks):
        if isinstance(block, _Table):
            rows = [row for row in block.rows if budget.take(*(cell.text for cell in row))]
            fitted[index] = replace(block, rows=rows, left_out=block.left_out + len(block.rows) - len(rows))
    for index, block in enumerate(blocks):
        if isinstance(block, _Gallery):
            items = [item for item in block.items if budget.take(*_texts(item))]
            fitted[index] = replace(block, items=items, left_out=block.left_out + len(block.items) - len(items))
    return fitted


def _fit(card: Card, budget: _Budget) -> Card:
    """Return a card; omit its images if they do not fit."""
    images = card.preview.images
    budget.take(card.name, card.address, card.preview.title, card.preview.summary)
    fits = budget.take(*(text for image in images for text in (image.uri, image.alt)))
    return card if fits else replace(card, preview=replace(card.preview, images=()))


def _column(name: str, cells: Sequence[Cell]) -> list[_FormattedCell]:
    """Format the name and the cells of a table's column."""
    is_numeric = any(map(is_number, cells)) and all(cell is None or is_number(cell) for cell in cells)
    texts = format_column(cells) if is_numeric else map(format_value, cells)
    formatted = [
        _FormattedCell(_clip(text), is_numeric or is_number(cell)) for text, cell in zip(texts, cells, strict=True)
    ]
    return [_FormattedCell(name, is_numeric), *formatted]


def _texts(item: _Item) -> list[str]:
    # The page contains the path three times: as alternative text, below the picture, and as tooltip.
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

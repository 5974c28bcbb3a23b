"""The contents of a report's page, read by an HTML parser."""

import base64
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

_VOID = frozenset({"meta", "img", "br", "link"})


@dataclass(frozen=True)
class ShownPicture:
    """A picture of a gallery: its alternative text, its caption, and the path of its image."""

    alt: str
    caption: str
    path: str


@dataclass(frozen=True)
class ShownChart:
    """A chart: its alternative text and the words in it."""

    alt: str
    words: list[str]


@dataclass
class ReportPage:
    """The page of a report.

    Attributes:
        title: Headline.
        summary: The report in one sentence.
        figures: Key figures by name.
        texts: Paragraphs, warnings included.
        warnings: Paragraphs that are warnings.
        tables: Rows by headline; a row's values by column.
        charts: Charts by headline.
        galleries: Pictures by headline.
    """

    title: str = ""
    summary: str = ""
    figures: dict[str, str] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    tables: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    charts: dict[str, ShownChart] = field(default_factory=dict)
    galleries: dict[str, list[ShownPicture]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "ReportPage":
        """Read a page from its file."""
        return cls.parse(path.read_text())

    @classmethod
    def parse(cls, text: str) -> "ReportPage":
        """Read a page."""
        reader = _Reader()
        reader.feed(text)
        reader.finish()
        page = cls(title=reader.root.first("h1").text)
        names, values = reader.root.all("dt"), reader.root.all("dd")
        page.figures = {name.text: value.text for name, value in zip(names, values, strict=True)}
        paragraphs = [element for element in reader.root.first("main").children if element.tag == "p"]
        if paragraphs and paragraphs[0].attributes.get("class") == "summary":
            page.summary = paragraphs.pop(0).text
        page.texts = [each.text for each in paragraphs]
        page.warnings = [each.text for each in paragraphs if each.attributes.get("role") == "alert"]
        for section in reader.root.all("section"):
            page._add(section.first("h2").text, section)
        return page

    def _add(self, headline: str, section: "_Element") -> None:
        if section.attributes.get("class") == "chart":
            self.charts[headline] = _chart(section.first("img"))
        for table in section.all("table"):
            columns = [each.text for each in table.all("th")]
            rows = [[cell.text for cell in row.all("td")] for row in table.all("tr")[1:]]
            self.tables[headline] = [dict(zip(columns, row, strict=True)) for row in rows]
        figures = section.all("figure")
        if figures:
            self.galleries[headline] = [_picture(each) for each in figures]


def _chart(image: "_Element") -> ShownChart:
    kind, _, content = image.attributes["src"].partition(",")
    assert kind == "data:image/svg+xml;base64"
    words = [element.text or "" for element in ET.fromstring(base64.b64decode(content)).iter() if "text" in element.tag]
    return ShownChart(image.attributes["alt"], words)


def _picture(figure: "_Element") -> ShownPicture:
    caption, path = figure.first("figcaption"), figure.first("small").text
    return ShownPicture(figure.first("img").attributes["alt"], caption.text.removesuffix(path), path)


@dataclass
class _Element:
    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list["_Element"] = field(default_factory=list)
    text: str = ""

    def all(self, tag: str) -> list["_Element"]:
        found = [self] if self.tag == tag else []
        return found + [each for child in self.children for each in child.all(tag)]

    def first(self, tag: str) -> "_Element":
        return self.all(tag)[0]


class _Reader(HTMLParser):
    """A parser that builds a tree of elements. The text of an element includes that of its descendants."""

    def __init__(self) -> None:
        super().__init__()
        self.root = _Element("root")
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = _Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].children.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1].tag == tag, f"</{tag}> where <{self._open[-1].tag}> is open"
        self._open.pop()

    def finish(self) -> None:
        self.close()
        assert self._open == [self.root]

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

"""Previews of reports, for pages that list several reports."""

from collections.abc import Sequence
from dataclasses import dataclass
from html.parser import HTMLParser

_MAXIMUM_IMAGES = 8


@dataclass(frozen=True)
class PreviewImage:
    """An image of a report.

    Attributes:
        uri: The image, as a `data:` URI.
        alt: Its alternative text.
    """

    uri: str
    alt: str


@dataclass(frozen=True)
class Preview:
    """The preview of a report.

    Attributes:
        title: Title of the report.
        summary: The report in one sentence.
        images: The report's first chart, or the first images of its galleries if it has no chart.
        is_chart: Whether `images` holds a chart.
    """

    title: str
    summary: str
    images: Sequence[PreviewImage]
    is_chart: bool


def read_preview(html: str) -> Preview:
    """Read the preview of a report from its page."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    is_chart = bool(reader.charts)
    images = reader.charts[:1] if is_chart else reader.pictures[:_MAXIMUM_IMAGES]
    return Preview(reader.title, reader.summary, images, is_chart)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.title = ""
        self.summary = ""
        self.charts: list[PreviewImage] = []
        self.pictures: list[PreviewImage] = []
        self._in_title = False
        self._in_chart = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self._in_title = tag == "title"
        if tag == "section":
            self._in_chart = attributes.get("class") == "chart"
        elif tag == "meta" and attributes.get("name") == "description":
            self.summary = attributes["content"]
        elif tag == "img":
            images = self.charts if self._in_chart else self.pictures
            images.append(PreviewImage(attributes["src"], attributes["alt"]))

    def handle_endtag(self, tag: str) -> None:
        self._in_title = False

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data

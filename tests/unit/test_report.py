"""The promises of `components.report`."""

import base64
import io
import re
import threading
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from components.report import Card, Picture, Preview, PreviewImage, Report, duration, new_figure, read_preview
from components.report.numbers import format_column
from components.report.thumbnails import thumbnail
from tests.support.report_page import ReportPage
from tests.support.report_samples import photograph
from tests.support.sample_pictures import LOSSY, PICTURE, RIGHT, exif, jpeg, lying, rgb

TWO_MEGABYTES = 2_000_000

Tag = tuple[str, dict[str, str]]


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Tag] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))


def tags(page: str, *names: str) -> list[Tag]:
    parser = _Tags()
    parser.feed(page)
    return [tag for tag in parser.found if tag[0] in names]


PREVIEW = Preview("Ingested images", "12 images.", [PreviewImage("data:image/png;base64,AAAA", "an image")], False)


def read(report: Report) -> ReportPage:
    return ReportPage.parse(report.html())


def full_report() -> Report:
    with new_figure() as (figure, axes):
        axes.plot([1, 2, 3], [0.9, 0.5, 0.3])
    return (
        Report("Training", "lake file:///lake")
        .figures({"images": 1612, "accuracy": "97.3 %"})
        .text("Promoted.")
        .chart("Loss", figure, alt="Loss falls from 0.9 to 0.3")
        .table("Classes", ["class", "images"], [["zero", 178]])
        .gallery("Worst mistakes", [Picture(photograph(0), "seven, 51 %", "file:///landing/a.jpg")])
        .cards("Reports", [Card("ingest", "reports/ingest.html", PREVIEW)])
    )


def test_page_refers_to_nothing_outside_itself() -> None:
    page = full_report().html()

    sources = [
        attributes["src"] for _, attributes in tags(page, "img", "script", "iframe", "source") if "src" in attributes
    ]
    assert len(sources) == 3
    assert all(source.startswith("data:image/") for source in sources)
    assert not tags(page, "link", "script", "iframe", "object", "embed", "base")
    assert not re.search(r"url\(|@import", page)
    (policy,) = [attributes for _, attributes in tags(page, "meta") if attributes.get("http-equiv")]
    assert policy["content"].startswith("default-src 'none'")


def test_names_that_look_like_html_are_shown_unchanged() -> None:
    evil = "<script>alert(1)</script>\"'&"
    with new_figure() as (figure, axes):
        axes.set_title(evil)
    page = (
        Report(evil, evil)
        .figures({evil: evil})
        .text(evil)
        .chart(evil, figure)
        .table(evil, [evil], [[evil]])
        .gallery(evil, [Picture(photograph(0), evil, evil), Picture(b"", evil, evil)])
        .cards(evil, [Card(evil, "a.html", Preview(evil, evil, [PreviewImage("data:,", evil)], False))])
        .html()
    )

    assert "<script" not in page
    assert not tags(page, "script")
    pictures = [attributes["alt"] for _, attributes in tags(page, "img")]
    assert pictures == [evil, f"{evil} ({evil})", evil]


def test_every_picture_and_chart_has_an_alternative_text() -> None:
    page = full_report().html()

    assert [attributes["alt"] for _, attributes in tags(page, "img")] == [
        "Loss falls from 0.9 to 0.3",
        "seven, 51 % (file:///landing/a.jpg)",
        "an image",
    ]
    assert "<small>file:///landing/a.jpg</small>" in page


def test_picture_that_stands_alone_is_larger_than_a_thumbnail_and_fits_the_page() -> None:
    picture = Picture(photograph(0), "current", "file:///landing/a.jpg")

    page = Report("Trace").picture("Picture", picture).html()

    (image,) = [attributes for _, attributes in tags(page, "img")]
    assert image["alt"] == "current (file:///landing/a.jpg)"
    with Image.open(io.BytesIO(base64.b64decode(image["src"].partition(",")[2]))) as shown:
        assert shown.size == (640, 480)
    assert re.search(r"\.picture img \{[^}]*max-width: 100%", page)


def test_page_with_200_photographs_is_under_two_megabytes() -> None:
    pictures = [
        Picture(photograph(seed), f"photograph {seed}", f"file:///landing/{seed:04}.jpg") for seed in range(200)
    ]

    page = Report("Scoring").gallery("Uncertain", pictures).html()

    shown = len(tags(page, "img"))
    assert len(page.encode()) < TWO_MEGABYTES
    assert shown >= 100
    assert shown == 200 or f"{200 - shown} more pictures are not shown." in page


def test_page_with_too_many_items_is_under_two_megabytes_and_counts_the_omitted_ones() -> None:
    with new_figure() as (figure, axes):
        across, up = np.random.default_rng(0).random((2, 50_000))
        axes.scatter(across, up, s=1)
    picture = Picture(photograph(0), "photograph", "file:///" + "long/" * 100 + "a.jpg")
    report = Report("Everything")
    for _ in range(2):
        report.chart("Many points", figure)
    report.table("Many rows", list("abcdef"), [["<&>" * 400] * 6] * 100_000).gallery("Many pictures", [picture] * 400)

    page = report.html()

    assert len(page.encode()) < TWO_MEGABYTES
    rows = len(tags(page, "tr")) - 1
    assert rows > 50
    assert f"{100_000 - rows:,} more rows are not shown." in page
    pictures = len([attributes for _, attributes in tags(page, "img") if "photograph" in attributes["alt"]])
    assert f"{400 - pictures} more pictures are not shown." in page


@pytest.mark.parametrize("orientation", range(1, 9))
def test_thumbnail_is_upright(orientation: int) -> None:
    small = thumbnail(jpeg(lying(orientation), exif=exif(orientation)))

    assert small is not None
    assert (small.width, small.height) == PICTURE.size
    with Image.open(io.BytesIO(base64.b64decode(small.uri.partition(",")[2]))) as image:
        assert np.abs(rgb(image).astype(int) - RIGHT).mean() < LOSSY


@pytest.mark.parametrize("content", [b"", b"not an image", photograph(0)[:200]], ids=["empty", "text", "truncated"])
def test_unreadable_picture_becomes_a_placeholder_with_its_path(content: bytes) -> None:
    page = Report("Ingest").gallery("Quarantined", [Picture(content, "broken", "file:///landing/b.jpg")]).html()

    assert not tags(page, "img")
    (placeholder,) = [attributes for _, attributes in tags(page, "div") if attributes.get("class") == "missing"]
    assert placeholder["aria-label"] == "broken (file:///landing/b.jpg)"
    assert "<small>file:///landing/b.jpg</small>" in page


@pytest.mark.parametrize(
    ("mode", "file_format"),
    [("L", "JPEG"), ("CMYK", "JPEG"), ("RGBA", "PNG"), ("P", "GIF"), ("I;16", "PNG"), ("1", "PNG"), ("LA", "PNG")],
)
def test_pictures_of_every_mode_and_format_are_shown(mode: str, file_format: str) -> None:
    buffer = io.BytesIO()
    Image.new(mode, (300, 200)).save(buffer, file_format)

    page = Report("Ingest").gallery("Sample", [Picture(buffer.getvalue(), mode, "a")]).html()

    assert len(tags(page, "img")) == 1


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1234567, "1,234,567"),
        (np.int64(1500), "1,500"),
        (0.97346, "0.9735"),
        (np.float32(0.5), "0.5"),
        (12345.6, "12,346"),
        (float("nan"), "\N{EN DASH}"),
        (None, "\N{EN DASH}"),
        (True, "yes"),
        ("12.3 s", "12.3 s"),
    ],
)
def test_numbers_have_grouped_digits_and_four_significant_ones(value: object, shown: str) -> None:
    page = Report("Numbers").figures({"figure": value}).html()  # type: ignore[dict-item]

    assert f"<dd>{shown}</dd>" in page


_numbers = st.lists(st.one_of(st.integers(-(10**6), 10**6), st.floats(-1e6, 1e6)), min_size=1)


@given(numbers=_numbers)
def test_numbers_in_a_column_are_aligned_at_the_decimal_point(numbers: list[float]) -> None:
    page = read(Report("Numbers").table("Numbers", ["value"], [[number] for number in numbers]))

    shown = [row["value"].replace(",", "") for row in page.tables["Numbers"]]
    largest = max(map(abs, numbers))
    if largest >= 1e-3:
        assert len({len(text.partition(".")[2]) for text in shown}) == 1
        assert all(abs(float(text) - number) <= largest / 1000 for text, number in zip(shown, numbers, strict=True))


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([0.9, 0.98765], ["0.9000", "0.9877"]),
        ([80.0, 91.1, None], ["80.0", "91.1", "\N{EN DASH}"]),
        ([25_700, 1_234.5], ["25,700", "1,234"]),
        ([-0.0001, 5.417], ["0.000", "5.417"]),
        ([1, 12, float("nan")], ["1", "12", "\N{EN DASH}"]),
        ([0.000016, 0.0], ["1.6e-05", "0"]),
    ],
)
def test_column_has_as_many_decimals_as_its_numbers_need(values: list[float | None], shown: list[str]) -> None:
    assert format_column(values) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.04, "0.0 s"), (59.94, "59.9 s"), (59.96, "1 min 0 s"), (3_599.6, "1 h 0 min"), (12_030, "3 h 20 min")],
)
def test_duration_has_its_unit(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_warning_differs_from_other_paragraphs() -> None:
    page = read(Report("Scoring").text("All is well.").warning("Nothing is well."))

    assert page.texts == ["All is well.", "Warning: Nothing is well."]
    assert page.warnings == ["Warning: Nothing is well."]


def test_page_is_written_atomically(tmp_path: Path) -> None:
    path = tmp_path / "run" / "report"
    report = full_report()
    report.write(path)
    complete = report.html()
    done = threading.Event()

    def rewrite() -> None:
        for _ in range(20):
            report.write(path)
        done.set()

    writer = threading.Thread(target=rewrite)
    writer.start()
    while not done.is_set():
        assert path.read_text() == complete
    writer.join()
    assert [entry.name for entry in path.parent.iterdir()] == ["report"]


def test_failed_write_keeps_the_existing_page(tmp_path: Path) -> None:
    path = tmp_path / "report"
    path.write_text("before")

    with pytest.raises(UnicodeEncodeError):
        Report("\ud800").write(path)

    assert path.read_text() == "before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["report"]


def test_preview_of_a_report_is_its_summary_and_its_first_chart() -> None:
    with new_figure() as (figure, axes):
        axes.plot([1, 2], [1, 2])
    picture = Picture(photograph(0), "seven", "file:///landing/a.jpg")
    page = Report("Training & more", summary="It is <good>.").gallery("Images", [picture])
    page.chart("Loss", figure, alt="Loss falls").chart("Accuracy", figure)

    preview = read_preview(page.html())

    assert (preview.title, preview.summary, preview.is_chart) == ("Training & more", "It is <good>.", True)
    (image,) = preview.images
    assert image.alt == "Loss falls"
    assert image.uri.startswith("data:image/svg+xml;base64,")


def test_preview_of_a_report_without_charts_has_some_of_its_pictures() -> None:
    pictures = [Picture(photograph(0), f"image {number}", "a.jpg") for number in range(20)]

    preview = read_preview(Report("Ingest").gallery("Images", pictures).html())

    assert not preview.is_chart
    assert [image.alt for image in preview.images] == [f"image {number} (a.jpg)" for number in range(8)]


def test_preview_of_a_report_without_pictures_has_none() -> None:
    assert read_preview(Report("Ingest").html()) == Preview("Ingest", "", [], False)


def test_cards_that_do_not_fit_lose_their_images_first() -> None:
    large = Preview("Large", "A sentence.", [PreviewImage("data:image/png;base64," + "A" * 900_000, "chart")], True)

    page = Report("Everything").cards("Reports", [Card(f"task {n}", f"{n}.html", large) for n in range(5)]).html()

    assert len(page.encode()) < TWO_MEGABYTES
    assert [attributes["href"] for _, attributes in tags(page, "a")] == [f"{n}.html" for n in range(5)]
    assert len(tags(page, "img")) == 2

"""The report of each component in Chromium, with usual results, with many strange values, and with few values."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from components.report import Report
from tests.support.browser import Browser, Visit
from tests.support.report_samples import SCALES, write_reports

NARROW = 390
TWO_MEGABYTES = 2_000_000


@pytest.fixture(scope="module", params=SCALES)
def pages(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The report of every component."""
    return write_reports(tmp_path_factory.mktemp("reports"), SCALES[request.param])


@pytest.fixture(scope="module")
def visits(pages: dict[str, Path], browser: Browser) -> dict[str, Visit]:
    """The result of loading each page in a window as wide as a phone."""
    return {name: browser.visit(page, NARROW) for name, page in pages.items()}


def test_report_loads_without_console_messages_and_requests(visits: dict[str, Visit]) -> None:
    assert {name: (visit.complaints, visit.requests) for name, visit in visits.items()} == {
        name: ([], []) for name in visits
    }


def test_every_picture_is_shown_with_an_alternative_text(visits: dict[str, Visit]) -> None:
    images = [image for visit in visits.values() for image in visit.images]

    assert images
    assert [image for image in images if not (image.alt.strip() and image.width and image.height)] == []


def test_report_fits_the_width_of_a_phone(visits: dict[str, Visit]) -> None:
    assert {name: visit.width for name, visit in visits.items()} == dict.fromkeys(visits, NARROW)


def test_report_is_under_two_megabytes(pages: dict[str, Path]) -> None:
    assert {name for name, page in pages.items() if page.stat().st_size >= TWO_MEGABYTES} == set()


def test_injected_markup_fetches_nothing_and_is_noticed(browser: Browser, tmp_path: Path) -> None:
    reached: list[str] = []

    class _Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            reached.append(self.path)

    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    page = tmp_path / "report.html"
    smuggled = f"<img src='{address}/a.png' alt='a'><script>fetch('{address}/b')</script>"
    page.write_text(Report("Report").html().replace("</main>", f"{smuggled}</main>"))

    try:
        visit = browser.visit(page)
    finally:
        server.shutdown()
        server.server_close()

    assert reached == []
    assert visit.requests == [f"{address}/a.png"]
    assert [image.width for image in visit.images] == [0]
    # One refusal for the picture, one for the script.
    assert sum("Content Security Policy" in each for each in visit.complaints) == 2

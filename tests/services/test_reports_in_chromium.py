"""Every kind of report, as people open it: in Chromium, with usual results, with many and strange ones, with few."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from components.report import Report
from tests.browser import Browser, Visit
from tests.report_samples import SCALES, write_reports

NARROW = 390
TWO_MEGABYTES = 2_000_000


@pytest.fixture(scope="module", params=SCALES)
def pages(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The report of every component."""
    return write_reports(tmp_path_factory.mktemp("reports"), SCALES[request.param])


@pytest.fixture(scope="module")
def visits(pages: dict[str, Path], browser: Browser) -> dict[str, Visit]:
    """What each of them does, on a telephone."""
    return {name: browser.visit(page, NARROW) for name, page in pages.items()}


def test_every_report_loads_without_a_complaint_and_fetches_nothing(visits: dict[str, Visit]) -> None:
    assert {name: (visit.complaints, visit.requests) for name, visit in visits.items()} == {
        name: ([], []) for name in visits
    }


def test_every_picture_of_every_report_is_shown_and_says_what_it_is(visits: dict[str, Visit]) -> None:
    images = [image for visit in visits.values() for image in visit.images]

    assert images
    assert [image for image in images if not (image.alt.strip() and image.width and image.height)] == []


def test_no_report_has_to_be_scrolled_to_the_side_on_a_telephone(visits: dict[str, Visit]) -> None:
    assert {name: visit.width for name, visit in visits.items()} == dict.fromkeys(visits, NARROW)


def test_every_report_is_under_two_megabytes(pages: dict[str, Path]) -> None:
    assert {name for name, page in pages.items() if page.stat().st_size >= TWO_MEGABYTES} == set()


def test_whatever_gets_into_a_page_fetches_nothing_and_does_not_go_unnoticed(browser: Browser, tmp_path: Path) -> None:
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

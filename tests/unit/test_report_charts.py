"""The layout of all charts in all reports: legends cover no data, and texts are complete."""

from itertools import pairwise

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from components.report import Report, charts, page
from tests.support.report_samples import SCALES, write_reports

# Pixels: half the width of a line on a border, and the rounding of matplotlib's layout.
TOLERANCE = 2.0

pytestmark = pytest.mark.filterwarnings("ignore:Glyph .* missing from font")


@pytest.fixture(scope="module", params=SCALES)
def figures(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Figure]:
    """Every chart of every report by its caption, laid out."""
    drawn: list[Figure] = []
    captions: list[str] = []
    chart = Report.chart

    def record(report: Report, caption: str, figure: Figure, alt: str = "") -> Report:
        captions.append(caption)
        return chart(report, caption, figure, alt)

    def lay_out(figure: Figure) -> str:
        drawn.append(figure)
        uri = charts.data_uri(figure)
        FigureCanvasAgg(figure)
        figure.draw_without_rendering()
        return uri

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Report, "chart", record)
        patch.setattr(page, "data_uri", lay_out)
        write_reports(tmp_path_factory.mktemp("reports"), SCALES[request.param])
    assert drawn
    return dict(zip(captions, drawn, strict=True))


def test_legend_stands_above_the_axes(figures: dict[str, Figure]) -> None:
    covered = []
    for caption, figure in figures.items():
        for axes in figure.axes:
            legends = [legend for legend in (axes.get_legend(), *figure.legends) if legend is not None]
            top = axes.get_window_extent().y1 - TOLERANCE
            if any(legend.get_window_extent().y0 < top for legend in legends):
                covered.append(caption)

    assert covered == []


def test_chart_of_several_series_has_a_legend(figures: dict[str, Figure]) -> None:
    lacking = [
        caption
        for caption, figure in figures.items()
        for axes in figure.axes
        if len(axes.get_legend_handles_labels()[1]) > 1 and axes.get_legend() is None and not figure.legends
    ]

    assert lacking == []


def test_no_part_of_a_chart_is_cut_off(figures: dict[str, Figure]) -> None:
    cut = {}
    for caption, figure in figures.items():
        for axes in figure.axes:
            extent = axes.get_tightbbox()
            assert extent is not None
            over = max(-extent.x0, -extent.y0, extent.x1 - figure.bbox.x1, extent.y1 - figure.bbox.y1)
            if over > TOLERANCE:
                cut[caption] = over

    assert cut == {}


def test_tick_labels_do_not_overlap(figures: dict[str, Figure]) -> None:
    overlapping = []
    for caption, figure in figures.items():
        for axes in figure.axes:
            for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
                boxes = [label.get_window_extent() for label in labels if label.get_visible() and label.get_text()]
                # Rotated dates have boxes that overlap although the texts do not.
                if any(label.get_rotation() not in (0, 90) for label in labels):
                    continue
                pairs = pairwise(boxes)
                if any(a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 and b.y0 < a.y1 for a, b in pairs):
                    overlapping.append(caption)

    assert overlapping == []

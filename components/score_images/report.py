"""The page about a run of scoring."""

from pathlib import Path

from matplotlib.ticker import PercentFormatter

from components.report import Picture, Report, new_figure
from components.score_images.score import DOUBTFUL_BELOW, HISTOGRAM_BINS, ScoreResult


def write_report(result: ScoreResult, path: str) -> None:
    """Write the page: how sure the model was, of what, and the images that it was least sure of."""
    report = Report("Scored images", f"{result.model_name}, version {result.model_version}")
    report.figures(
        {
            "Scored": result.scored,
            "Could not be decoded": result.failed,
            f"Score under {DOUBTFUL_BELOW:.0%}, whatever threshold the export has": result.doubtful,
            "Their share": f"{result.doubtful / result.scored:.1%}" if result.scored else None,
            "Seconds": round(result.seconds, 1),
            "Table version": result.table_version,
        }
    )
    if not result.scored and not result.failed:
        report.text("There was no image to score: each has a label or a prediction already.")
    if result.scored:
        _add_histogram(report, result)
        report.table(
            "Images by predicted class",
            ("Label", "Class", "Images"),
            [(label, _name(result, label), count) for label, count in result.by_label.most_common()],
        )
    if result.failures:
        report.table("Images that could not be decoded", ("Path", "Error"), result.failures)
    if result.examples:
        pictures = [
            Picture(each.content, f"{_name(result, each.label)}, {each.score:.1%}", each.path)
            for each in result.examples
        ]
        report.gallery("The images of the lowest scores", pictures)
    report.write(Path(path))


def _name(result: ScoreResult, label: int) -> str:
    return result.class_names.get(label) or str(label)


def _add_histogram(report: Report, result: ScoreResult) -> None:
    figure, axes = new_figure()
    width = 1 / HISTOGRAM_BINS
    axes.bar([index * width for index in range(HISTOGRAM_BINS)], result.histogram, width=0.92 * width, align="edge")
    axes.axvline(DOUBTFUL_BELOW, color="#3d454d", linestyle="--", linewidth=1)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("best score")
    axes.set_ylabel("images")
    report.chart(
        "Scores", figure, alt=f"Histogram of the best scores; {result.doubtful} are under {DOUBTFUL_BELOW:.0%}"
    )

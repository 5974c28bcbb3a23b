"""The page and the KFP metrics about a run of scoring."""

from datetime import timedelta
from pathlib import Path

import numpy as np
from matplotlib.ticker import PercentFormatter

from components.report import Picture, Report, new_figure
from components.report.metrics import MetricsArtifact
from components.score_images.class_shares import DIVERGENCE_LIMIT
from components.score_images.field_accuracy import FieldAccuracy
from components.score_images.score import DOUBTFUL_BELOW, HISTOGRAM_BINS, ScoreResult

# More can't be told apart: half a year, and as many versions as the charts have colours.
_WEEKS = 26
_VERSIONS = 6


def log_metrics(result: ScoreResult, metrics: MetricsArtifact) -> None:
    """Log the figures as a KFP artifact: shares and accuracies 0..1, the divergence in bits."""
    metrics.log_metric("scored", result.scored)
    metrics.log_metric("failed", result.failed)
    if result.scored:
        metrics.log_metric("doubtful_share", result.doubtful / result.scored)
    audits = result.field_accuracy.of_version(result.model_version)
    if audits.accuracy is not None and audits.interval is not None:
        metrics.log_metric("field_accuracy", audits.accuracy)
        metrics.log_metric("field_accuracy_low", audits.interval.low)
        metrics.log_metric("field_accuracy_high", audits.interval.high)
        metrics.log_metric("audits_answered", audits.answered)
    if result.class_shares is not None:
        metrics.log_metric("class_divergence_bits", result.class_shares.divergence)


def warnings(result: ScoreResult) -> list[str]:
    """Return what someone should look at, in sentences."""
    found = []
    shares = result.class_shares
    if shares is not None and shares.part:
        label = shares.labels[0]
        found.append(
            "The classes predicted in this run part from those of the training set: by"
            f" {shares.divergence:.3f} bits, more than the limit of {DIVERGENCE_LIMIT:.3f} and the"
            f" {shares.chance:.3f} of chance. Most of all: {shares.predicted_share(label):.1%} are"
            f" {_name(result, label)}, in the training set {shares.trained_share(label):.1%}. Look whether other images"
            " come in, or the model is wrong."
        )
    audits = result.field_accuracy.of_version(result.model_version)
    if result.test_accuracy is not None and audits.interval is not None and audits.interval.high < result.test_accuracy:
        found.append(
            f"On the images that come in, version {result.model_version} is right less often than on its test images:"
            f" {audits.accuracy:.1%}, at most {audits.interval.high:.1%}, and not {result.test_accuracy:.1%}. Train on"
            " what people answered since, or look at its mistakes."
        )
    return found


def write_report(result: ScoreResult, path: str) -> None:
    """Write the page: how sure the model was, of what, how right it is in use, and what it was least sure of."""
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
    for sentence in warnings(result):
        report.text(f"Warning: {sentence}")
    if not result.scored and not result.failed:
        report.text("There was no image to score: each has a label or a prediction already.")
    if result.scored:
        _add_histogram(report, result)
        _add_classes(report, result)
    _add_field_accuracy(report, result)
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


def _add_classes(report: Report, result: ScoreResult) -> None:
    shares = result.class_shares
    if shares is None:
        report.table(
            "Images by predicted class",
            ("Label", "Class", "Images"),
            [(label, _name(result, label), count) for label, count in result.by_label.most_common()],
        )
        return
    report.table(
        "Images by predicted class, and the classes of the training set; the largest differences first",
        ("Label", "Class", "Images", "Of the images scored, %", "Of the training set, %", "Difference, points"),
        [
            (
                label,
                _name(result, label),
                result.by_label[label],
                100 * shares.predicted_share(label),
                100 * shares.trained_share(label),
                100 * (shares.predicted_share(label) - shares.trained_share(label)),
            )
            for label in shares.labels
        ],
    )
    report.text(
        f"Jensen-Shannon divergence of the two: {shares.divergence:.3f} bits (0 if they are equal, 1 at most). One in a"
        f" hundred samples of so many images has {shares.chance:.3f} by chance. A warning stands above if it is more"
        f" than that and than {DIVERGENCE_LIMIT:.3f}."
    )


def _add_field_accuracy(report: Report, result: ScoreResult) -> None:
    accuracy = result.field_accuracy
    versions = accuracy.versions()
    if not versions:
        report.text("No image was sent for audit yet, so nothing is known of the accuracy on the images that come in.")
        return
    rows = []
    for version in versions:
        audits = accuracy.of_version(version)
        interval = audits.interval
        rows.append(
            (
                version,
                audits.sent,
                audits.answered,
                audits.right,
                None if audits.accuracy is None else 100 * audits.accuracy,
                None if interval is None else f"{interval.low:.1%} to {interval.high:.1%}",
            )
        )
    report.table(
        "Accuracy on the images that come in, from audits that people answered",
        ("Version", "Sent for audit", "Answered", "Right", "Accuracy, %", "95 % interval"),
        rows,
    )
    if any(accuracy.of_version(version).answered for version in versions):
        _add_weeks(report, accuracy, versions)


def _add_weeks(report: Report, accuracy: FieldAccuracy, versions: list[str]) -> None:
    figure, axes = new_figure()
    since = max(week for _, week in accuracy.by_week) - timedelta(weeks=_WEEKS)
    for version in versions[-_VERSIONS:]:
        points = [
            (week, audits.accuracy, audits.interval)
            for week, audits in accuracy.weeks(version)
            if week > since and audits.accuracy is not None and audits.interval is not None
        ]
        if points:
            weeks, shares, intervals = zip(*points, strict=True)
            below = [share - interval.low for share, interval in zip(shares, intervals, strict=True)]
            above = [interval.high - share for share, interval in zip(shares, intervals, strict=True)]
            axes.errorbar(
                np.array(weeks, "datetime64[D]"),
                shares,
                (below, above),
                marker="o",
                capsize=3,
                elinewidth=1,
                label=f"version {version}",
            )
    figure.autofmt_xdate(rotation=30)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("week in which images were sent for audit")
    axes.set_ylabel("accuracy")
    axes.legend()
    report.chart(
        "Accuracy on the images that come in, by week",
        figure,
        alt="Accuracy of each model version by week, with the 95 % interval",
    )

"""The report and the KFP metrics of a scoring run."""

from datetime import timedelta
from pathlib import Path

import numpy as np
from matplotlib.ticker import PercentFormatter

from components.report import (
    Cell,
    Picture,
    Report,
    add_legend,
    draw_class_bars,
    duration,
    new_figure,
    percent,
    percent_range,
    percent_text,
)
from components.report.metrics import MetricsArtifact
from components.score_images.class_fractions import DIVERGENCE_LIMIT, ClassFractions
from components.score_images.field_accuracy import Audits, FieldAccuracy
from components.score_images.score import HISTOGRAM_BINS, ScoreResult

# Weeks that the chart shows: half a year.
_CHART_WEEKS = 26
# Versions that the chart shows, because it has six colors.
_CHART_VERSIONS = 6
# Classes that fit into the chart.
_CHART_CLASSES = 15


def log_metrics(result: ScoreResult, metrics: MetricsArtifact) -> None:
    """Log KFP metrics.

    Fractions and accuracies are in the range 0..1, and the divergence is in bits.
    """
    metrics.log_metric("scored", result.scored)
    metrics.log_metric("failed", result.failed)
    if result.scored:
        metrics.log_metric("uncertain_fraction", result.uncertain / result.scored)
    audits = result.field_accuracy.of_version(result.model_version)
    if audits.accuracy is not None and audits.interval is not None:
        metrics.log_metric("field_accuracy", audits.accuracy)
        metrics.log_metric("field_accuracy_low", audits.interval.low)
        metrics.log_metric("field_accuracy_high", audits.interval.high)
        metrics.log_metric("audits_labeled", audits.labeled)
    if result.class_fractions is not None:
        metrics.log_metric("class_divergence_bits", result.class_fractions.divergence)


def warnings(result: ScoreResult) -> list[str]:
    """Return warnings about the images or the model, in sentences."""
    found = []
    fractions = result.class_fractions
    if fractions is not None and fractions.diverges:
        label = fractions.labels[0]
        found.append(
            "The predicted classes diverge from the classes of the training set by"
            f" {fractions.divergence:.3f} bits. The limit is {DIVERGENCE_LIMIT:.3f} bits, and chance explains"
            f" {fractions.chance_divergence:.3f} bits. The largest difference:"
            f" {fractions.predicted_fraction(label):.1%} of the images are predicted as {_name(result, label)}, but"
            f" {fractions.trained_fraction(label):.1%} of the training set belong to this class. Check whether"
            " different images arrive, or whether the model is wrong."
        )
    audits = result.field_accuracy.of_version(result.model_version)
    if result.test_accuracy is not None and audits.interval is not None and audits.interval.high < result.test_accuracy:
        found.append(
            f"Version {result.model_version} is less accurate in the field than on its test images:"
            f" {audits.accuracy:.1%} (95% interval: at most {audits.interval.high:.1%}) instead of"
            f" {result.test_accuracy:.1%}. Train a model on the newest labels, or look at the mistakes of this one."
        )
    return found


def write_report(result: ScoreResult, path: str) -> None:
    """Write the HTML report of a scoring run."""
    report = Report("Scored images", f"Model {result.model_name}, version {result.model_version}", _summary(result))
    report.figures(
        {
            "Images scored": result.scored,
            f"Score below {percent_text(result.threshold)}": f"{result.uncertain / result.scored:.1%}"
            if result.scored
            else None,
            "Not decodable": result.failed,
            "Accuracy in the field": _percent(result.field_accuracy.of_version(result.model_version).accuracy),
            "Accuracy on test images": _percent(result.test_accuracy),
            "Duration": duration(result.seconds),
            "Version of table 'predictions'": result.table_version,
        }
    )
    for sentence in warnings(result):
        report.warning(sentence)
    if result.scored:
        _add_histogram(report, result)
        _add_classes(report, result)
    _add_field_accuracy(report, result)
    if result.failures:
        report.table("Images that could not be decoded", ("Path", "Error"), result.failures)
    if result.examples:
        pictures = [
            Picture(example.content, f"{_name(result, example.label)}, {example.score:.1%}", example.path)
            for example in result.examples
        ]
        report.gallery("Images with the lowest scores", pictures)
    report.write(Path(path))


def _summary(result: ScoreResult) -> str:
    if not result.scored and not result.failed:
        return "There was no image to score: each image has a label or a prediction."
    if not result.scored:
        return f"No image was scored: {result.failed:,} could not be decoded."
    failed = f" {result.failed:,} more could not be decoded." if result.failed else ""
    return (
        f"The model scored {result.scored:,} images and is uncertain about {result.uncertain:,} of them (score below"
        f" {percent_text(result.threshold)}).{failed}"
    )


def _name(result: ScoreResult, label: int) -> str:
    return result.class_names.get(label, str(label))


def _percent(fraction: float | None) -> str | None:
    return None if fraction is None else f"{fraction:.1%}"


def _add_histogram(report: Report, result: ScoreResult) -> None:
    width = 1 / HISTOGRAM_BINS
    with new_figure() as (figure, axes):
        starts = [index * width for index in range(HISTOGRAM_BINS)]
        axes.bar(starts, result.histogram, width=0.92 * width, align="edge")
        axes.axvline(
            result.threshold,
            color="#3d454d",
            linestyle="--",
            linewidth=1,
            label=f"threshold of {percent_text(result.threshold)}: images to its left are uncertain",
        )
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.set_xlabel("score of an image")
        axes.set_ylabel("images")
        add_legend(axes)
    fraction = result.uncertain / result.scored
    report.chart(
        "Scores",
        figure,
        alt=f"Histogram of the scores of {result.scored:,} images: {result.uncertain:,} of them, {fraction:.1%}, are"
        f" below {percent_text(result.threshold)}",
    )
    report.text("The score of an image is the top probability of its prediction.")


def _add_classes(report: Report, result: ScoreResult) -> None:
    fractions = result.class_fractions
    if fractions is None:
        report.table(
            "Images by predicted class",
            ("Label", "Class", "Images"),
            [(str(label), _name(result, label), count) for label, count in result.by_label.most_common()],
        )
        return
    _add_class_chart(report, result, fractions)
    report.table(
        "Predicted classes and classes of the training set, largest difference first",
        ("Label", "Class", "Images", "Of scored images, %", "Of training set, %", "Difference, points"),
        [
            (
                str(label),
                _name(result, label),
                result.by_label[label],
                round(100 * fractions.predicted_fraction(label), 2),
                round(100 * fractions.trained_fraction(label), 2),
                round(100 * (fractions.predicted_fraction(label) - fractions.trained_fraction(label)), 2),
            )
            for label in fractions.labels
        ],
    )
    report.text(
        f"The two distributions have a Jensen-Shannon divergence of {fractions.divergence:.3f} bits: 0 means equal, 1"
        " means disjoint. By chance, one in a hundred samples of this size reaches"
        f" {fractions.chance_divergence:.3f} bits. This report warns if the divergence exceeds"
        f" both this value and {DIVERGENCE_LIMIT:.3f} bits."
    )


def _add_class_chart(report: Report, result: ScoreResult, fractions: ClassFractions) -> None:
    labels = fractions.labels[:_CHART_CLASSES]
    figure = draw_class_bars(
        [_name(result, label) for label in labels],
        {
            "images scored": [fractions.predicted_fraction(label) for label in labels],
            "training set": [fractions.trained_fraction(label) for label in labels],
        },
        "fraction of the images",
        are_fractions=True,
    )
    extent = (
        f": the {len(labels)} of {len(fractions.labels)} classes that differ most"
        if len(labels) < len(fractions.labels)
        else ""
    )
    first = labels[0]
    report.chart(
        f"Predicted classes and classes of the training set{extent}",
        figure,
        alt=f"Fractions of the classes among the images scored and in the training set. {_name(result, first)} differs"
        f" most, with {fractions.predicted_fraction(first):.1%} and {fractions.trained_fraction(first):.1%}",
    )


def _add_field_accuracy(report: Report, result: ScoreResult) -> None:
    accuracy = result.field_accuracy
    versions = accuracy.versions()
    if not versions:
        report.text("No image has been sent for audit yet, so there is no estimate of the accuracy in the field.")
        return
    report.table(
        "Accuracy in the field by model version",
        ("Version", "Sent for audit", "Labeled", "Right", "Accuracy, %", "95% interval"),
        [(version, *_counts(accuracy.of_version(version))) for version in versions],
    )
    report.text(
        "Audits are drawn at random from the images that arrive. The accuracy is the fraction of labeled audits on"
        " which the model and people agree."
    )
    if any(accuracy.of_version(version).labeled for version in versions):
        _add_weeks(report, accuracy, versions)


def _counts(audits: Audits) -> tuple[Cell, ...]:
    return (
        audits.sent,
        audits.labeled,
        audits.correct,
        percent(audits.accuracy),
        percent_range(audits.interval),
    )


def _add_weeks(report: Report, accuracy: FieldAccuracy, versions: list[str]) -> None:
    since = max(week for _, week in accuracy.by_week) - timedelta(weeks=_CHART_WEEKS)
    shown = versions[-_CHART_VERSIONS:]
    with new_figure() as (figure, axes):
        for version in shown:
            points = [
                (week, audits.accuracy, audits.interval)
                for week, audits in accuracy.weeks(version)
                if week > since and audits.accuracy is not None and audits.interval is not None
            ]
            if points:
                weeks, fractions, intervals = zip(*points, strict=True)
                below = [fraction - interval.low for fraction, interval in zip(fractions, intervals, strict=True)]
                above = [interval.high - fraction for fraction, interval in zip(fractions, intervals, strict=True)]
                axes.errorbar(
                    np.array(weeks, "datetime64[D]"),
                    fractions,
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
        add_legend(axes)
    report.chart(
        "Accuracy in the field by week",
        figure,
        alt="Accuracy of each model version by week, with the 95% interval. The table below has the figures",
    )
    report.table(
        "Accuracy in the field by week and model version, newest first",
        ("Week of", "Version", "Sent for audit", "Labeled", "Right", "Accuracy, %", "95% interval"),
        [
            (week.isoformat(), version, *_counts(accuracy.by_week[version, week]))
            for week, version in sorted(((week, version) for version, week in accuracy.by_week), reverse=True)
            if week > since
        ],
    )

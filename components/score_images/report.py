"""The page and the KFP metrics about a run of scoring."""

from datetime import timedelta
from pathlib import Path

import numpy as np
from matplotlib.ticker import PercentFormatter

from components.report import Cell, Picture, Report, duration, new_figure, percent, percent_range, percent_text, short
from components.report.metrics import MetricsArtifact
from components.score_images.class_shares import DIVERGENCE_LIMIT, ClassShares
from components.score_images.field_accuracy import Audits, FieldAccuracy
from components.score_images.score import HISTOGRAM_BINS, ScoreResult

# More can't be told apart: half a year, and as many versions as the charts have colours.
_WEEKS = 26
_VERSIONS = 6
# As many classes as a chart has room for the names of.
_CLASSES = 15


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
            "Images scored": result.scored,
            f"Score under {percent_text(result.threshold)}": f"{result.doubtful / result.scored:.1%}"
            if result.scored
            else None,
            "Could not be decoded": result.failed,
            "Accuracy in the field": _percent(result.field_accuracy.of_version(result.model_version).accuracy),
            "Accuracy on test images": _percent(result.test_accuracy),
            "Duration": duration(result.seconds),
            "Version of the table predictions": result.table_version,
        }
    )
    for sentence in warnings(result):
        report.warning(sentence)
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


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{share:.1%}"


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
            label=f"{percent_text(result.threshold)}, below which an image is doubtful",
        )
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.set_xlabel("best score of an image")
        axes.set_ylabel("images")
        axes.legend(loc="upper left")
    share = result.doubtful / result.scored
    report.chart(
        "Scores",
        figure,
        alt=f"Histogram of the best scores of {result.scored:,} images: {result.doubtful:,} of them, {share:.1%}, are"
        f" under {percent_text(result.threshold)}",
    )
    report.text(f"{result.doubtful:,} of {result.scored:,} images have a score under {percent_text(result.threshold)}.")


def _add_classes(report: Report, result: ScoreResult) -> None:
    shares = result.class_shares
    if shares is None:
        report.table(
            "Images by predicted class",
            ("Label", "Class", "Images"),
            [(str(label), _name(result, label), count) for label, count in result.by_label.most_common()],
        )
        return
    _add_class_chart(report, result, shares)
    report.table(
        "Images by predicted class, and the classes of the training set; the largest differences first",
        ("Label", "Class", "Images", "Of the images scored, %", "Of the training set, %", "Difference, points"),
        [
            (
                str(label),
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


def _add_class_chart(report: Report, result: ScoreResult, shares: ClassShares) -> None:
    labels = shares.labels[:_CLASSES]
    places = np.arange(len(labels))
    with new_figure(height=0.8 + 0.34 * len(labels)) as (figure, axes):
        axes.barh(places - 0.2, [shares.predicted_share(each) for each in labels], 0.4, label="images scored")
        axes.barh(places + 0.2, [shares.trained_share(each) for each in labels], 0.4, label="training set")
        axes.set_yticks(places, [short(_name(result, each)) for each in labels])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.set_xlabel("share of the images")
        axes.legend()
    some = f", the {len(labels)} of {len(shares.labels)} that differ most" if len(labels) < len(shares.labels) else ""
    first = labels[0]
    report.chart(
        f"Classes predicted, beside those of the training set{some}",
        figure,
        alt=f"Shares of the classes among the images scored and in the training set; most apart is"
        f" {_name(result, first)}, with {shares.predicted_share(first):.1%} and {shares.trained_share(first):.1%}",
    )


def _add_field_accuracy(report: Report, result: ScoreResult) -> None:
    accuracy = result.field_accuracy
    versions = accuracy.versions()
    if not versions:
        report.text("No image was sent for audit yet, so nothing is known of the accuracy on the images that come in.")
        return
    report.table(
        "Accuracy in the field, by model version: on the images that come in, as people see them",
        ("Version", "Sent for audit", "Answered", "Right", "Accuracy, %", "95% interval"),
        [(version, *_counts(accuracy.of_version(version))) for version in versions],
    )
    if any(accuracy.of_version(version).answered for version in versions):
        _add_weeks(report, accuracy, versions)


def _counts(audits: Audits) -> tuple[Cell, ...]:
    return (
        audits.sent,
        audits.answered,
        audits.right,
        percent(audits.accuracy),
        percent_range(audits.interval),
    )


def _add_weeks(report: Report, accuracy: FieldAccuracy, versions: list[str]) -> None:
    since = max(week for _, week in accuracy.by_week) - timedelta(weeks=_WEEKS)
    shown = versions[-_VERSIONS:]
    with new_figure() as (figure, axes):
        for version in shown:
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
        axes.legend(loc="lower left", ncols=len(shown))
    report.chart(
        "Accuracy in the field, by week",
        figure,
        alt="Accuracy of each model version by week, with the 95% interval; the table below has the figures",
    )
    report.table(
        "Accuracy in the field, by week and model version; the newest first",
        ("Week of", "Version", "Sent for audit", "Answered", "Right", "Accuracy, %", "95% interval"),
        [
            (week.isoformat(), version, *_counts(accuracy.by_week[version, week]))
            for week, version in sorted(((week, version) for version, week in accuracy.by_week), reverse=True)
            if week > since
        ],
    )

"""The page and the KFP artifacts about an evaluation."""

from pathlib import Path
from typing import Protocol

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.ticker import PercentFormatter

from components.evaluate_classifier.evaluate import EvaluationResult
from components.evaluate_classifier.tally import Tally
from components.intervals import share_interval
from components.report import Cell, Picture, Report, new_figure, percent, percent_range, short
from components.report.metrics import MetricsArtifact

# More can't be read, neither on a page nor in KFP's UI.
MAXIMUM_CLASSES = 40
_OTHERS = "other classes"
# Of larger ones the counts can't be read any more, the shades can.
_MOST_COUNTS = 15
_CONFUSIONS = 20
# Exponent that makes a mistake on one image in a hundred visible beside a diagonal of 90 %.
_SHADE = 0.5


class ConfusionArtifact(Protocol):
    """KFP's `ClassificationMetrics`."""

    def log_confusion_matrix(self, categories: list[str], matrix: list[list[int]]) -> None:
        """Log a confusion matrix."""


def log_metrics(result: EvaluationResult, metrics: MetricsArtifact, confusion: ConfusionArtifact) -> None:
    """Log the figures and the challenger's confusion matrix as KFP artifacts."""
    metrics.log_metric("accuracy", result.challenger.accuracy)
    metrics.log_metric("test_images", result.challenger.total)
    if result.champion is not None:
        metrics.log_metric("champion_accuracy", result.champion.accuracy)
    if result.paired is not None:
        metrics.log_metric("gain", result.paired.gain)
    confusion.log_confusion_matrix(*confusion_matrix(result))


def confusion_matrix(result: EvaluationResult) -> tuple[list[str], list[list[int]]]:
    """Return names and rows of the challenger's confusion matrix.

    Of many classes, those with the most mistakes are shown, and one row and column stand for the others.
    """
    tally = result.challenger
    labels = tally.most_confused(MAXIMUM_CLASSES)
    others = len(labels) < len(tally.labels())
    names = [result.class_name(label) for label in labels] + ([_OTHERS] if others else [])
    return names, tally.matrix(labels, others)


def write_report(result: EvaluationResult, path: str) -> None:
    """Write the page: the decision, both models, the confusion matrix, the classes and the worst mistakes."""
    decision = result.decision
    report = Report("Challenger and champion", f"on the test images of training set {result.training_set.id}")
    report.figures(
        {
            "Challenger's accuracy": f"{result.challenger.accuracy:.2%}",
            f"Champion's accuracy{_version(result)}": f"{result.champion.accuracy:.2%}" if result.champion else None,
            "Test images": result.challenger.total,
            "Promote": "yes" if decision.promote else "no",
        }
    )
    report.text(f"{'To be promoted' if decision.promote else 'Not to be promoted'}: {decision.reason}.")
    if decision.checks:
        report.table(
            "The gate",
            ("Threshold", "Needed", "Found", "Passed"),
            [(check.threshold, check.needed, check.found, check.passed) for check in decision.checks],
        )
    if result.paired is not None:
        report.text(
            f"On {result.paired.won:,} images only the challenger is right, on {result.paired.lost:,} only the"
            f" champion; on the other {result.paired.total - result.paired.won - result.paired.lost:,} they are equal."
        )
    models: list[tuple[str, Tally]] = [("challenger", result.challenger)]
    if result.champion is not None:
        models.append((f"champion{_version(result)}", result.champion))
    report.table(
        "The models on the same images",
        ("Model", "Images", "Right", "Wrong", "Of these not decodable", "Accuracy, %", "95% interval"),
        [(name, *_counts(each)) for name, each in models],
    )
    _add_matrix(report, result)
    _add_confusions(report, result)
    _add_classes(report, result)
    pictures = [
        Picture(
            each.content,
            f"{result.class_name(each.predicted)}, {each.score:.1%}; in truth {result.class_name(each.true)}",
            each.path,
        )
        for each in result.mistakes
    ]
    report.gallery("The challenger's mistakes of the highest scores", pictures)
    report.write(Path(path))


def _version(result: EvaluationResult) -> str:
    return f", version {result.compared_with}" if result.champion is not None else ""


def _counts(tally: Tally) -> tuple[Cell, ...]:
    return (
        tally.total,
        tally.correct,
        tally.total - tally.correct,
        tally.undecodable,
        100 * tally.accuracy,
        percent_range(share_interval(tally.correct, tally.total)),
    )


def _add_matrix(report: Report, result: EvaluationResult) -> None:
    names, counts = confusion_matrix(result)
    matrix = np.array(counts)
    images = matrix.sum(axis=1, keepdims=True)
    # By the share of each class, because the counts of large classes, and of all others together, outshine the rest.
    shares = np.divide(matrix, images, out=np.zeros(matrix.shape), where=images > 0)
    side = min(2.4 + 0.32 * len(names), 9.0)
    size = 9.0 if len(names) <= _MOST_COUNTS else 6.5
    with new_figure(width=side + 1.2, height=side) as (figure, axes):
        image = axes.imshow(shares, cmap="Blues", norm=PowerNorm(_SHADE, 0, 1))
        axes.grid(visible=False)
        shown = [short(name) for name in names]
        axes.set_xticks(range(len(names)), shown, rotation=90, fontsize=size)
        axes.set_yticks(range(len(names)), shown, fontsize=size)
        if len(names) <= _MOST_COUNTS:
            for (row, column), count in np.ndenumerate(matrix):
                if count:
                    shade = "white" if shares[row, column] > 0.35 else "#3d454d"
                    axes.text(column, row, f"{count:,}", ha="center", va="center", color=shade)
        axes.set_xlabel("predicted class")
        axes.set_ylabel("true class")
        bar = figure.colorbar(image, shrink=0.6, label="share of the true class' images", format=PercentFormatter(1))
        bar.outline.set_visible(False)
    tally = result.challenger
    total = len(tally.labels())
    some = f": the {MAXIMUM_CLASSES} of {total:,} classes that mistakes are about most" if len(names) < total else ""
    report.chart(
        f"Confusion matrix of the challenger{some}",
        figure,
        alt="Images by true class, from top to bottom, and by predicted class, from left to right; of all classes"
        f" {tally.correct:,} of {tally.total:,} images are on the diagonal, where both are the same",
    )


def _add_confusions(report: Report, result: EvaluationResult) -> None:
    tally = result.challenger
    mistakes = [
        (true, predicted, count)
        for (true, predicted), count in tally.pairs.most_common()
        if predicted is not None and predicted != true
    ]
    report.table(
        "The challenger's most frequent mistakes",
        ("True class", "Predicted class", "Images", "Of the true class, %"),
        [
            (
                result.class_name(true),
                result.class_name(predicted),
                count,
                percent(count / tally.class_scores(true).images),
            )
            for true, predicted, count in mistakes[:_CONFUSIONS]
        ],
    )


def _add_classes(report: Report, result: EvaluationResult) -> None:
    labels = sorted(result.challenger.labels(), key=lambda label: result.challenger.class_scores(label).recall or 0)
    columns = ["Label", "Class", "Images", "Precision, %", "Recall, %"]
    if result.champion is not None:
        columns += ["Champion's precision, %", "Champion's recall, %"]
    rows = []
    for label in labels:
        ours = result.challenger.class_scores(label)
        row: list[Cell] = [
            str(label),
            result.class_name(label),
            ours.images,
            percent(ours.precision),
            percent(ours.recall),
        ]
        if result.champion is not None:
            theirs = result.champion.class_scores(label)
            row += [percent(theirs.precision), percent(theirs.recall)]
        rows.append(row)
    report.table("Classes, those that are found least first", columns, rows)
    report.text(
        "Precision is the share of the images that a model says are of the class that are; recall is the share of the"
        " class' images that it finds."
    )

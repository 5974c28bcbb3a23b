"""The report and the KFP artifacts of an evaluation."""

from pathlib import Path
from typing import Protocol

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.ticker import PercentFormatter

from components.evaluate_classifier.comparison import ImageGroup
from components.evaluate_classifier.evaluate import EvaluationResult
from components.evaluate_classifier.evidence import GROUP_COLUMNS, describe_power, describe_shortage, group_rows
from components.evaluate_classifier.gate import CLASS_SIGNIFICANCE
from components.evaluate_classifier.tally import UNSEEN, Tally
from components.intervals import fraction_interval
from components.report import Cell, Picture, Report, new_figure, percent, percent_range, short
from components.report.metrics import MetricsArtifact

# A larger matrix is not legible on a page or in KFP's UI.
MAXIMUM_CLASSES = 40
_OTHERS = "other classes"
# The cells of a larger matrix are too small for counts.
_MAXIMUM_CLASSES_WITH_COUNTS = 15
_MAXIMUM_CONFUSIONS = 20
# Exponent of the shades. With it, a mistake on 1 % of the images is visible next to a diagonal of 90 %.
_SHADE_EXPONENT = 0.5


class ConfusionArtifact(Protocol):
    """The method of KFP's `ClassificationMetrics` that an evaluation calls."""

    def log_confusion_matrix(self, categories: list[str], matrix: list[list[int]]) -> None:
        """Log a confusion matrix."""


def log_metrics(result: EvaluationResult, metrics: MetricsArtifact, confusion: ConfusionArtifact) -> None:
    """Log the metrics and the challenger's confusion matrix as KFP artifacts."""
    metrics.log_metric("test_images", result.challenger.total)
    for prefix, tally in (("", result.challenger), ("champion_", result.champion)):
        if tally is not None:
            metrics.log_metric(f"{prefix}accuracy", tally.accuracy)
            metrics.log_metric(f"{prefix}balanced_accuracy", tally.balanced_accuracy)
            metrics.log_metric(f"{prefix}macro_f1", tally.macro_f1)
    if result.paired is not None:
        metrics.log_metric("gain", result.paired.gain)
    confusion.log_confusion_matrix(*confusion_matrix(result))


def confusion_matrix(result: EvaluationResult) -> tuple[list[str], list[list[int]]]:
    """Return the names and the rows of the challenger's confusion matrix.

    With more than `MAXIMUM_CLASSES` classes, the matrix has the classes with the most mistakes, and one row and one
    column for all other classes.
    """
    tally = result.challenger
    labels = tally.most_confused(MAXIMUM_CLASSES)
    others = len(labels) < len(tally.labels)
    names = [result.class_name(label) for label in labels] + ([_OTHERS] if others else [])
    return names, tally.matrix(labels, others)


def write_report(result: EvaluationResult, path: str) -> None:
    """Write the HTML report of an evaluation."""
    decision = result.decision
    report = Report(
        "Challenger and champion", f"Test images of training set {result.training_set.id}", _summary(result)
    )
    report.figures(
        {
            "Challenger's accuracy": f"{result.challenger.accuracy:.2%}",
            f"Accuracy of the champion{_version(result)}": f"{result.champion.accuracy:.2%}"
            if result.champion
            else None,
            "Measured test images": result.challenger.total,
            "Promoted": "yes" if decision.promote else "no",
        }
    )
    report.text(f"The challenger is {'' if decision.promote else 'not '}promoted because {decision.reason}.")
    if decision.checks:
        report.table(
            "Gate",
            ("Rule", "Required", "Measured", "Passed"),
            [(check.rule, check.required, check.measured, check.passed) for check in decision.checks],
        )
    _add_evidence(report, result)
    models: list[tuple[str, Tally]] = [("challenger", result.challenger)]
    if result.champion is not None:
        models.append((f"champion{_version(result)}", result.champion))
    report.table(
        "Both models on the same images" if result.champion is not None else "The model on the test images",
        (
            "Model",
            "Images",
            "Right",
            "Wrong",
            "Not scored",
            "Accuracy, %",
            "95% interval",
            "Balanced accuracy, %",
            "Macro F1, %",
        ),
        [(name, *_counts(tally)) for name, tally in models],
    )
    report.text(
        "Balanced accuracy is the mean recall of the classes, and macro F1 the mean of their F1, the harmonic mean of"
        " precision and recall. Each class counts equally, so that rare classes are visible."
    )
    if result.failures:
        report.text(f"Images that could not be scored count as wrong. The challenger's first {len(result.failures)}:")
        report.table("Images that could not be scored", ("Image", "Error"), result.failures)
    _add_matrix(report, result)
    _add_confusions(report, result)
    _add_classes(report, result)
    pictures = [
        Picture(
            mistake.content,
            f"{result.class_name(mistake.predicted)}, {mistake.score:.1%}; true class"
            f" {result.class_name(mistake.true)}",
            mistake.path,
        )
        for mistake in result.mistakes
    ]
    report.gallery("The challenger's mistakes with the highest scores", pictures)
    report.write(Path(path))


def _summary(result: EvaluationResult) -> str:
    outcome = "is promoted" if result.decision.promote else "is not promoted"
    if result.champion is None:
        comparison = "there is no champion to compare with"
    else:
        comparison = f"the champion{_version(result)} reaches {result.champion.accuracy:.2%}"
    return (
        f"The challenger {outcome}: its accuracy is {result.challenger.accuracy:.2%} on"
        f" {result.challenger.total:,} measured test images, and {comparison}."
    )


def _version(result: EvaluationResult) -> str:
    return f" (version {result.compared_with})" if result.champion is not None else ""


def _counts(tally: Tally) -> tuple[Cell, ...]:
    return (
        tally.total,
        tally.correct,
        tally.total - tally.correct,
        tally.unscored,
        100 * tally.accuracy,
        percent_range(fraction_interval(tally.correct, tally.total)),
        100 * tally.balanced_accuracy,
        100 * tally.macro_f1,
    )


def _add_evidence(report: Report, result: EvaluationResult) -> None:
    """Add the groups of test images, the power of the test, and the origin of the predictions."""
    comparison = result.comparison
    report.table("Groups of test images", GROUP_COLUMNS, group_rows(comparison))
    report.text(
        "Only measured images decide. Requested images favor any challenger, because people were asked to label them"
        " where the champion was uncertain. Fresh images did not influence the champion's promotion, so its accuracy on"
        " them is not the result of luck."
    )
    if result.decision.gain_level is not None:
        report.text(describe_power(comparison.measured, result.decision.gain_level))
    if shortage := describe_shortage(comparison):
        report.text(shortage)
    images = sum(comparison.groups[group].challenger.total for group in (ImageGroup.MEASURED, ImageGroup.REQUESTED))
    if result.left_out:
        report.text(f"{result.left_out:,} other test images do not count, because the champion was trained on them.")
        images += result.left_out
    report.table(
        "Predictions of test images",
        ("Model", "Test images", "Predicted in this run", "From earlier evaluations"),
        [(model, images, new, images - new) for model, new in result.new_images.items()],
    )


def _add_matrix(report: Report, result: EvaluationResult) -> None:
    names, counts = confusion_matrix(result)
    matrix = np.array(counts)
    images = matrix.sum(axis=1, keepdims=True)
    # Shades show fractions of each class, because the counts of large classes would make all other cells look empty.
    fractions = np.divide(matrix, images, out=np.zeros(matrix.shape), where=images > 0)
    side = min(2.4 + 0.32 * len(names), 9.0)
    size = 9.0 if len(names) <= _MAXIMUM_CLASSES_WITH_COUNTS else 6.5
    with new_figure(width=side + 1.2, height=side) as (figure, axes):
        image = axes.imshow(fractions, cmap="Blues", norm=PowerNorm(_SHADE_EXPONENT, 0, 1))
        axes.grid(visible=False)
        shown = [short(name) for name in names]
        axes.set_xticks(range(len(names)), shown, rotation=90, fontsize=size)
        axes.set_yticks(range(len(names)), shown, fontsize=size)
        if len(names) <= _MAXIMUM_CLASSES_WITH_COUNTS:
            for (row, column), count in np.ndenumerate(matrix):
                if count:
                    shade = "white" if fractions[row, column] > 0.35 else "#3d454d"
                    axes.text(column, row, f"{count:,}", ha="center", va="center", color=shade)
        axes.set_xlabel("predicted class")
        axes.set_ylabel("true class")
        bar = figure.colorbar(image, shrink=0.6, label="fraction of the true class", format=PercentFormatter(1))
        bar.outline.set_visible(False)
    tally = result.challenger
    total = len(tally.labels)
    extent = f": the {MAXIMUM_CLASSES} of {total:,} classes with the most mistakes" if len(names) < total else ""
    report.chart(
        f"Confusion matrix of the challenger{extent}",
        figure,
        alt="Images by true class, from top to bottom, and by predicted class, from left to right."
        f" {tally.correct:,} of {tally.total:,} images of all classes are on the diagonal, where both are the same",
    )


def _add_confusions(report: Report, result: EvaluationResult) -> None:
    tally = result.challenger
    scores = tally.scores
    mistakes = [
        (true, predicted, count)
        for (true, predicted), count in tally.pairs.most_common()
        if predicted is not None and predicted != true
    ]
    report.table(
        "The challenger's most frequent mistakes",
        ("True class", "Predicted class", "Images", "Fraction of the true class, %"),
        [
            (
                result.class_name(true),
                result.class_name(predicted),
                count,
                percent(count / scores[true].images),
            )
            for true, predicted, count in mistakes[:_MAXIMUM_CONFUSIONS]
        ],
    )


def _add_classes(report: Report, result: EvaluationResult) -> None:
    scores = result.challenger.scores
    champion_scores = result.champion.scores if result.champion is not None else {}
    paired = result.paired.classes if result.paired is not None else {}
    columns = ["Label", "Class", "Images", "Precision, %", "Recall, %"]
    if result.champion is not None:
        columns += ["Champion's precision, %", "Champion's recall, %", "Only challenger right", "Only champion right"]
    rows = []
    for label, challenger in sorted(scores.items(), key=lambda item: item[1].recall or 0):
        row: list[Cell] = [
            str(label),
            result.class_name(label),
            challenger.images,
            percent(challenger.precision),
            percent(challenger.recall),
        ]
        if result.champion is not None:
            champion = champion_scores.get(label, UNSEEN)
            counts = paired.get(label)
            row += [percent(champion.precision), percent(champion.recall)]
            row += [counts.won, counts.lost] if counts is not None else [0, 0]
        rows.append(row)
    report.table("Classes, lowest recall first", columns, rows)
    report.text(
        "Precision: of the images predicted as the class, the fraction that belongs to it. Recall: of the images of the"
        " class, the fraction that is predicted as the class."
    )
    if result.champion is not None:
        report.text(
            "A class is significantly worse if the champion recognizes more of its images than the challenger, and if"
            " chance does not explain the difference. The test is an exact one-sided sign test on the images that only"
            f" one of the models classifies correctly, at p = {CLASS_SIGNIFICANCE:.2g} with Holm's correction for the"
            f" number of classes. A challenger as good as the champion fails the test in at most"
            f" {CLASS_SIGNIFICANCE:.0%} of evaluations."
        )

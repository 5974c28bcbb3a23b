"""The page and the KFP artifacts about an evaluation."""

from pathlib import Path
from typing import Protocol

from matplotlib.ticker import MaxNLocator

from components.evaluate_classifier.evaluate import EvaluationResult
from components.evaluate_classifier.tally import Tally
from components.report import Cell, Picture, Report, new_figure
from components.report.metrics import MetricsArtifact

# More can't be read, neither on a page nor in KFP's UI.
MAXIMUM_CLASSES = 40
_OTHERS = "other classes"
_MOST_NAMES = 15


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
            "Champion's accuracy": f"{result.champion.accuracy:.2%}" if result.champion else None,
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
        models.append((f"champion, version {result.compared_with}", result.champion))
    report.table(
        "The models on the same images",
        ("Model", "Images", "Right", "Wrong", "Of these not decodable"),
        [(name, each.total, each.correct, each.total - each.correct, each.undecodable) for name, each in models],
    )
    _add_matrix(report, result)
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


def _add_matrix(report: Report, result: EvaluationResult) -> None:
    names, matrix = confusion_matrix(result)
    side = min(3.2 + 0.16 * len(names), 7.5)
    figure, axes = new_figure(width=side + 1, height=side)
    image = axes.imshow(matrix, cmap="Blues")
    axes.grid(visible=False)
    if len(names) <= _MOST_NAMES:
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
        axes.set_yticks(range(len(names)), names)
        highest = max(max(row) for row in matrix)
        for row, counts in enumerate(matrix):
            for column, count in enumerate(counts):
                if count:
                    shade = "white" if count > highest / 2 else "#3d454d"
                    axes.text(column, row, str(count), ha="center", va="center", color=shade)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    figure.colorbar(image, label="images")
    report.chart("Confusion matrix of the challenger", figure, alt="Images by true class and by predicted class")


def _add_classes(report: Report, result: EvaluationResult) -> None:
    labels = sorted(result.challenger.labels(), key=lambda label: result.challenger.class_scores(label).recall or 0)
    columns = ["Label", "Class", "Images", "Precision", "Recall"]
    if result.champion is not None:
        columns += ["Champion's precision", "Champion's recall"]
    rows = []
    for label in labels:
        ours = result.challenger.class_scores(label)
        row: list[Cell] = [label, result.class_name(label), ours.images, ours.precision, ours.recall]
        if result.champion is not None:
            theirs = result.champion.class_scores(label)
            row += [theirs.precision, theirs.recall]
        rows.append(row)
    report.table("Classes, those that are found least first", columns, rows)

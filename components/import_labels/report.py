"""The report of an import of labels."""

from collections import Counter
from pathlib import Path

from components.import_labels.import_annotations import ImportResult
from components.intervals import fraction_interval
from components.labeling.formats import SUFFIXES, Outcome
from components.report import Report, draw_class_bars, duration, percent, percent_range

_EXPORT = f"If they are annotations, export them as {', '.join(SUFFIXES)}."
_SAVE_AS_CSV = "Save the sheet as CSV UTF-8 (.csv)."
_UNPACK = "Unpack the archive."
# What to do about files of other suffixes that people hand in.
_ADVICE = {
    **dict.fromkeys((".xlsx", ".xls", ".ods", ".numbers"), _SAVE_AS_CSV),
    **dict.fromkeys((".zip", ".gz", ".tar", ".tgz", ".7z", ".rar", ".bz2", ".zst"), _UNPACK),
}

# Maximum number of classes in the chart.
_CHART_CLASSES = 25


def write_report(result: ImportResult, path: str) -> None:
    """Write the page: new annotations, agreement of people and model, and rejected annotations with reasons."""
    report = Report("Imported labels", result.source, _summary(result))
    report.figures(
        {
            "New annotations": result.imported,
            "Rejected annotations": len(result.rejected),
            "Images with conflicting labels": len(result.conflicts),
            "Images skipped by everybody": result.skipped,
            "New classes": len(result.new_classes) + len(result.waiting),
            "People agree": _percent(result.people_agreed, result.several_people),
            "People and model agree": _percent(result.model_agreed, result.predicted),
            "Labels unknown to the champion": result.new_labels,
            "Duration": duration(result.seconds),
        }
    )
    if not result.ever_found and result.others:
        report.warning("This source has never contained a file that can be read. The table of other files names them.")
    elif not result.ever_found:
        report.warning("This source has never contained a file. Check its URI, unless nobody has labeled yet.")
    elif result.files:
        report.text(
            f"Files read: {result.files:,}. Annotations in them: {result.read:,}. New annotations: {result.imported:,}."
        )
    if result.unchanged_files:
        report.text(
            f"{result.unchanged_files:,} files have not changed since they were imported; they were not read again."
        )
    if result.waiting:
        report.warning(
            "New classes wait: their annotations count from the next import on. If a name is misspelled, correct it in"
            " the labeling service and export again before that."
        )
        report.table(
            "New classes that wait for the next import",
            ("Class", "Annotations"),
            Counter(result.waiting).most_common(),
        )
    report.text(
        "The pipeline trains a new model."
        if result.retrain
        else "The pipeline trains no new model: there are too few new labels, or the newest model has learned them."
    )
    _add_outcomes(report, result)
    if result.predicted or result.several_people:
        _add_agreement(report, result)
    if result.by_label:
        _add_labels(report, result)
    if result.new_classes:
        report.table(
            "New classes, which the next training learns",
            ("Label", "Class"),
            [(str(label), name) for label, name in sorted(result.new_classes.items())],
        )
    if result.conflicts:
        report.table(
            f"Images with conflicting labels: rule '{result.rule}' gives them no label yet",
            ("Path", "Classes"),
            [(image, ", ".join(result.class_names[label] for label in labels)) for image, labels in result.conflicts],
        )
    if result.rejected:
        _add_rejected(report, result)
    if result.others:
        _add_others(report, result)
    report.write(Path(path))


def _summary(result: ImportResult) -> str:
    if not result.imported and result.waiting:
        return f"There is no new annotation that counts yet; {sum(result.waiting.values()):,} wait for new classes."
    if not result.imported:
        return "There is no new annotation."
    labels = sum(result.by_label.values())
    training = "a new model is trained" if result.retrain else "no new model is trained"
    return f"{result.imported:,} new annotations were imported; they label {labels:,} images, and {training}."


def _add_outcomes(report: Report, result: ImportResult) -> None:
    outcomes = Counter(rejection.outcome for rejection in result.rejected)
    rows = (
        ("a class", result.labeled, "counts as a vote for the image's label"),
        ("skipped", result.skips, "counts as no vote, and closes the request"),
        (Outcome.EMPTY, outcomes[Outcome.EMPTY], "left out: choose a class, or skip the image"),
        (Outcome.UNFINISHED, result.unfinished, "left out until somebody labels the image"),
        (Outcome.NEW_CLASS, sum(result.waiting.values()), "counts from the next import on"),
        (Outcome.REJECTED, outcomes[Outcome.REJECTED], "left out for the reason below"),
    )
    found = [(str(outcome), count, meaning) for outcome, count, meaning in rows if count]
    if found:
        report.table("Outcomes of the annotations in the files", ("Outcome", "Annotations", "Meaning"), found)


def _add_rejected(report: Report, result: ImportResult) -> None:
    first = {rejection.reason: rejection.place for rejection in reversed(result.rejected)}
    counts = Counter(rejection.reason for rejection in result.rejected)
    report.table(
        "Reasons of rejections",
        ("Reason", "Annotations", "First place"),
        [(reason, count, first[reason]) for reason, count in counts.most_common()],
    )
    report.table(
        "Rejected annotations",
        ("Place", "Reason"),
        [(rejection.place, rejection.reason) for rejection in result.rejected],
    )


def _add_others(report: Report, result: ImportResult) -> None:
    report.table(
        "Other files, which are not read",
        ("Suffix", "Files", "Example", "What to do"),
        [
            (suffix or "none", files.count, files.example, _ADVICE.get(suffix, _EXPORT))
            for suffix, files in sorted(result.others.items())
        ],
    )


def _percent(hits: int, total: int) -> str | None:
    return f"{hits / total:.1%}" if total else None


def _add_agreement(report: Report, result: ImportResult) -> None:
    rows = (
        ("People among each other: images with two or more annotations", result.several_people, result.people_agreed),
        ("People and model: labeled images that the model predicted", result.predicted, result.model_agreed),
    )
    report.table(
        "Agreement",
        ("Between", "Images", "Agreed on", "Agreed on, %", "95% interval"),
        [
            (between, images, agreed, percent(agreed / images), percent_range(fraction_interval(agreed, images)))
            for between, images, agreed in rows
            if images
        ],
    )
    report.text(
        "Most of these images were sent because the model was uncertain. The scoring report estimates the accuracy on"
        " all images."
    )


def _add_labels(report: Report, result: ImportResult) -> None:
    classes = sorted(result.by_label, key=lambda label: (-result.by_label[label], label))
    shown = classes[:_CHART_CLASSES]
    extent = f": the {len(shown)} most frequent of {len(classes):,} classes" if len(shown) < len(classes) else ""
    figure = draw_class_bars(
        [result.class_names[label] for label in shown],
        {"images": [result.by_label[label] for label in shown]},
        "images",
    )
    report.chart(
        f"Labeled images by class{extent}",
        figure,
        alt=f"Bars of the labeled images of each class. The most frequent one, {result.class_names[shown[0]]}, has"
        f" {result.by_label[shown[0]]:,} images. The table below has the figures",
    )
    report.table(
        "Labeled images",
        ("Label", "Class", "Images"),
        [(str(label), result.class_names[label], count) for label, count in sorted(result.by_label.items())],
    )

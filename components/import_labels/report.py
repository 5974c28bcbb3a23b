"""The page about a run of import."""

from pathlib import Path

from components.import_labels.import_answers import ImportResult
from components.intervals import share_interval
from components.report import Report, duration, percent, percent_range


def write_report(result: ImportResult, path: str) -> None:
    """Write the page: what came back, how far people and model agree, and what was left out and why."""
    report = Report("Imported labels", result.source)
    report.figures(
        {
            "New answers": result.imported,
            "Answers left out": len(result.rejected),
            "Images seen differently": len(result.conflicts),
            "Images that everybody skipped": result.skipped,
            "New classes": len(result.new_classes),
            "People agree": _share(result.seen_alike, result.seen_by_several),
            "People and model agree": _share(result.agreed, result.asked),
            "Labels that the champion's training set lacks": result.new_labels,
            "Duration": duration(result.seconds),
        }
    )
    if result.known_files:
        report.text(f"{result.known_files:,} files were not read again: they are as they were when they were imported.")
    if not result.files:
        report.text("There is no new file of answers.")
    elif not result.imported:
        report.text("There is no new answer: all that the files hold was imported before, or left out.")
    else:
        report.text(f"Files: {result.files:,}. Answers in them: {result.read:,}. New: {result.imported:,}.")
    if result.asked or result.seen_by_several:
        _add_agreement(report, result)
    report.text(
        "A new model is trained."
        if result.retrain
        else "No new model is trained: these are not enough labels, or the newest model has learned them."
    )
    if result.by_label:
        report.table(
            "Images with a label, by class",
            ("Label", "Class", "Images"),
            [(str(label), result.class_names[label], count) for label, count in sorted(result.by_label.items())],
        )
    if result.new_classes:
        report.table(
            "Classes that nobody knew: the next training has them",
            ("Label", "Class"),
            [(str(label), name) for label, name in sorted(result.new_classes.items())],
        )
    if result.conflicts:
        report.table(
            f"Images that people see differently: by the rule '{result.rule}' they have no label yet",
            ("Path", "Classes"),
            [(image, ", ".join(result.class_names[label] for label in labels)) for image, labels in result.conflicts],
        )
    if result.rejected:
        report.table("Left out", ("Where", "Reason"), [(each.where, each.reason) for each in result.rejected])
    report.write(Path(path))


def _share(part: int, whole: int) -> str | None:
    return f"{part / whole:.1%}" if whole else None


def _add_agreement(report: Report, result: ImportResult) -> None:
    rows = (
        ("People, where two or more gave a class", result.seen_by_several, result.seen_alike),
        ("People and model, where it was asked about", result.asked, result.agreed),
    )
    report.table(
        "Agreement",
        ("Of whom", "Images", "Agreed on", "Agreed, %", "95% interval"),
        [
            (who, images, alike, percent(alike / images), percent_range(share_interval(alike, images)))
            for who, images, alike in rows
            if images
        ],
    )
    report.text(
        "Most images are sent because the model doubts them: how right it is in the field, the report of scoring tells."
    )

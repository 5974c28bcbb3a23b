"""The report of an export for labeling."""

from pathlib import Path

from components.export_for_labeling.export import ExportedBatch, ExportResult
from components.labeling.requests import AUDIT, UNCERTAIN
from components.parameters import Choice
from components.report import Picture, Report, duration, percent_text

_REASONS = {
    UNCERTAIN: "uncertain: the score is below the threshold",
    AUDIT: "audit: drawn at random, to estimate the accuracy in the field",
}
_GALLERIES = {
    UNCERTAIN: "Sent as uncertain: the lowest scores",
    AUDIT: "Sent for audit: the lowest scores",
}


def write_report(result: ExportResult, path: str) -> None:
    """Write the page: number of exported images, reasons, destination, and some of the images."""
    batches = [batch.by_reason for batch in result.batches]
    sent, uncertain, audit = (
        sum(counts.total() for counts in batches),
        sum(counts[UNCERTAIN] for counts in batches),
        sum(counts[AUDIT] for counts in batches),
    )
    report = Report("Images for labeling", result.destination, _summary(result, sent, uncertain, audit))
    report.figures(
        {
            "Images sent": sent,
            "Sent as uncertain": uncertain,
            "Sent for audit": audit,
            "Candidates": result.candidates,
            "Uncertain candidates": result.uncertain,
            "Duration": duration(result.seconds),
        }
    )
    report.text(
        "Candidates are images that have a prediction, but no label, and that people have not been asked about."
    )
    report.text(_selection(result.choice))
    if result.batches:
        report.table(
            "Images sent, by batch and reason",
            ("Batch", "Reason", "Images"),
            [
                (batch.name, reason, batch.by_reason[key])
                for batch in result.batches
                for key, reason in _REASONS.items()
                if batch.by_reason[key]
            ],
        )
    for batch in result.batches:
        _add_batch(report, batch)
    report.write(Path(path))


def _summary(result: ExportResult, sent: int, uncertain: int, audit: int) -> str:
    if not sent:
        return f"No image was sent for labeling: the run selected none of {result.candidates:,} candidates."
    return f"{sent:,} images were sent for labeling: {uncertain:,} uncertain ones, and {audit:,} for audit."


def _selection(choice: Choice) -> str:
    """Describe the rules by which images were selected."""
    uncertain = (
        f"the {choice.budget:,} candidates with the lowest scores below {percent_text(choice.threshold)}"
        if choice.budget
        else f"{percent_text(choice.fraction)} of the candidates with a score below {percent_text(choice.threshold)}"
    )
    return (
        f"The run selects {uncertain}. For audit it draws {percent_text(choice.audit_fraction)} of the images scored"
        " since the last audit, whatever their scores. A score is the top probability of a prediction."
    )


def _add_batch(report: Report, batch: ExportedBatch) -> None:
    report.text(f"Manifest of batch {batch.name}: {batch.manifest}")
    if batch.resumed:
        report.text("An earlier run was interrupted while it wrote this batch; this run completed it.")
    if batch.deleted:
        report.text(f"{batch.deleted:,} images selected for this batch have been deleted since.")
    for reason, caption in _GALLERIES.items():
        pictures = [
            Picture(example.content, f"{example.name}, {example.score:.1%}", example.path)
            for example in batch.examples
            if example.reason == reason
        ]
        if pictures:
            report.gallery(caption, pictures)

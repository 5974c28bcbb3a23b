"""The page about a run of export."""

from pathlib import Path

from components.export_for_labeling.choice import AUDIT, DOUBTFUL, Choice
from components.export_for_labeling.export import Batch, ExportResult
from components.report import Picture, Report, duration, percent_text

_WHY = {
    DOUBTFUL: "doubtful: the best score is under the threshold",
    AUDIT: "audit: drawn whatever the score, to know the accuracy in the field",
}


def write_report(result: ExportResult, path: str) -> None:
    """Write the page: how many images were sent, why and where to, and some of them."""
    report = Report("Images for labelling", result.destination)
    sent = [batch.by_reason for batch in result.batches]
    report.figures(
        {
            "Images sent": sum(each.total() for each in sent),
            "Sent as doubtful": sum(each[DOUBTFUL] for each in sent),
            "Sent for audit": sum(each[AUDIT] for each in sent),
            "Candidates": result.candidates,
            "Doubtful candidates": result.doubtful,
            "Duration": duration(result.seconds),
        }
    )
    report.text("Candidates are images with a score and without a label that people have not been asked about.")
    report.text(_how(result.choice))
    if result.batches:
        report.table(
            "What was sent, and why",
            ("Batch", "Why", "Images"),
            [
                (batch.name, why, batch.by_reason[reason])
                for batch in result.batches
                for reason, why in _WHY.items()
                if batch.by_reason[reason]
            ],
        )
    else:
        report.text("There was nothing to send: no image was chosen that people have not been asked about.")
    for batch in result.batches:
        _add_batch(report, batch)
    report.write(Path(path))


def _how(choice: Choice) -> str:
    """Tell by which numbers images were chosen."""
    sent = (
        f"the {choice.budget:,} most doubtful of them" if choice.budget else f"{percent_text(choice.fraction)} of them"
    )
    return (
        f"Doubtful are those with a best score under {percent_text(choice.threshold)}; people get {sent}, and"
        f" {percent_text(choice.audit_fraction)} of what was scored since the last request for audit,"
        " whatever the score."
    )


def _add_batch(report: Report, batch: Batch) -> None:
    report.text(f"Batch {batch.name} has its list in {batch.manifest}")
    if batch.resumed:
        report.text("An earlier run began this batch and was cut off; this one finished it.")
    if batch.gone:
        report.text(f"Deleted since, of the images that were chosen for it: {batch.gone:,}.")
    for reason, why in _WHY.items():
        pictures = [
            Picture(each.content, f"{each.name}, {each.score:.1%} ({each.reason})", each.path)
            for each in batch.examples
            if each.reason == reason
        ]
        if pictures:
            report.gallery(f"The lowest scores, sent as {why}", pictures)

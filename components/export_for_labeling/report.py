"""The page about a run of export."""

from pathlib import Path

from components.export_for_labeling.choice import AUDIT, DOUBTFUL
from components.export_for_labeling.export import Batch, ExportResult
from components.report import Picture, Report


def write_report(result: ExportResult, path: str) -> None:
    """Write the page: how many images were sent, why and where to, and some of them."""
    report = Report("Images for labelling", result.destination)
    sent = [batch.by_reason for batch in result.batches]
    report.figures(
        {
            "Candidates": result.candidates,
            "Doubtful": result.doubtful,
            "Sent as doubtful": sum(each[DOUBTFUL] for each in sent),
            "Sent for audit": sum(each[AUDIT] for each in sent),
            "Seconds": round(result.seconds, 1),
        }
    )
    if not result.batches:
        report.text("There was nothing to send: no image was chosen that people have not been asked about.")
    for batch in result.batches:
        _add_batch(report, batch)
    report.write(Path(path))


def _add_batch(report: Report, batch: Batch) -> None:
    report.text(f"Batch {batch.name}, {batch.by_reason.total():,} images: {batch.manifest}")
    if batch.resumed:
        report.text("An earlier run began this batch and was cut off; this one finished it.")
    if batch.gone:
        report.text(f"{batch.gone:,} images that were chosen for it have been deleted since; it came without them.")
    if batch.examples:
        pictures = [
            Picture(each.content, f"{each.name}, {each.score:.1%} ({each.reason})", each.path)
            for each in batch.examples
        ]
        report.gallery("The images of the lowest scores", pictures)

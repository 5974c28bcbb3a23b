"""The page about a run of ingest."""

from pathlib import Path

from components.ingest_images.ingest import IngestResult
from components.report import Picture, Report


def write_report(result: IngestResult, path: str) -> None:
    """Write the page: how many files, how long, what was quarantined and why, and a sample."""
    report = Report("Ingested images", result.source)
    report.figures(
        {
            "New files": result.found,
            "Images added": result.ingested,
            "Quarantined": result.quarantined.total(),
            "Table version": result.table_version,
            "Seconds": round(result.seconds, 1),
        }
    )
    if result.found == 0:
        report.text("No new file was found. If one was expected, check what should have been delivered to the source.")
    if result.without_class:
        report.text(
            f"{result.without_class} images lie in folders that name no class: they came in without a label."
            " What is in keeps its label or lack of one: import labels for these images, and for those to come name the"
            " folders after their classes or correct label_pattern."
        )
    if result.quarantined:
        report.table("Quarantined files", ("Reason", "Files"), list(result.quarantined.most_common()))
    if result.sample:
        report.gallery("A sample of the new images", [Picture(content, "", path) for path, content in result.sample])
    report.write(Path(path))

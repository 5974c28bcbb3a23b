"""The page about a run of ingest."""

from pathlib import Path

from components.ingest_images.ingest import IngestResult
from components.report import Picture, Report, duration


def write_report(result: IngestResult, path: str) -> None:
    """Write the page: how many files, how long, what was quarantined and why, and a sample."""
    quarantined = result.quarantined.total()
    report = Report("Ingested images", result.source)
    report.figures(
        {
            "New files": result.found,
            "Images added": result.ingested,
            "Quarantined files": quarantined,
            "Duration": duration(result.seconds),
            "Version of the table images": result.table_version,
        }
    )
    if result.found == 0:
        report.text("No new file was found. If one was expected, check what should have been delivered to the source.")
    if result.without_class:
        report.warning(
            f"{result.without_class:,} images lie in folders that name no class: they came in without a label."
            " What is in keeps its label or lack of one: import labels for these images, and for those to come name the"
            " folders after their classes or correct label_pattern."
        )
    if quarantined:
        report.table("Why files were quarantined", ("Reason", "Files"), result.quarantined.most_common())
        shown = sorted(result.refused, key=lambda each: (each[1], each[0]))
        some = "" if len(shown) == quarantined else f": {len(shown):,} of {quarantined:,}"
        report.table(f"Quarantined files{some}", ("File", "Reason"), shown)
    if result.sample:
        report.gallery("A sample of the new images", [Picture(content, "", path) for path, content in result.sample])
    report.write(Path(path))

"""Write the report of a maintenance."""

from pathlib import Path

from components.maintain_lake.maintain import MaintenanceResult
from components.report import Report, duration
from components.retention.rules import IN_USE

_MEGABYTE = 1e6


def write_report(result: MaintenanceResult, path: str) -> None:
    """Write a page with files and bytes before and after, and the removed data."""
    before, after, fields = result.before, result.after, result.fields
    verb, removed = ("would have", "would be removed") if fields.dry_run else ("has", "were removed")
    report = Report(
        "Maintenance",
        result.lake,
        f"The lake had {before.files:,} files of {before.bytes / _MEGABYTE:,.1f} MB, and {verb}"
        f" {after.files:,} files of {after.bytes / _MEGABYTE:,.1f} MB now.",
    )
    report.figures(
        {
            "Files before": before.files,
            "Files after": after.files,
            "Megabytes before": before.bytes / _MEGABYTE,
            "Megabytes after": after.bytes / _MEGABYTE,
            "Duration": duration(result.seconds),
        }
    )
    if fields.dry_run:
        report.text(
            "This was a dry run: nothing was written. The estimate for a table is what VACUUM would remove now. It"
            " leaves out the files that OPTIMIZE would write, and the files that they would replace."
        )
    report.table(
        "Tables and folders of the lake",
        ("Table or folder", "Files before", "Files after", "MB before", "MB after", "Small files compacted"),
        [
            (
                area.name,
                area.before.files,
                area.after.files,
                area.before.bytes / _MEGABYTE,
                area.after.bytes / _MEGABYTE,
                area.small or None,
            )
            for area in result.areas
        ],
    )
    report.table(
        f"Folders that {removed}",
        ("Folder", "Removed", "Kept"),
        [(area.name, area.removed, area.kept) for area in result.areas if area.removed is not None],
    )
    predictions = [(name, digest) for name, digests in sorted(result.digests.items()) for digest in sorted(digests)]
    if predictions:
        report.table(f"Models whose predictions {removed}", ("Registered model", "Digest"), predictions)
    report.text(
        "The data of each registered model's champion, challenger, former champions that a rollback can restore, and"
        f" newest {fields.keep_trainings:,} versions stay. The newest {fields.keep_trainings:,} trainings and training"
        f" sets stay, too, and everything that was written in the last {IN_USE.days} days."
    )
    report.text(
        f"Files that a table no longer names stay for {fields.retention_days:,} days. So a later run removes the files"
        " that this run compacted."
    )
    report.write(Path(path))

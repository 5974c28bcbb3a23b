"""Write the report of an ingest."""

from pathlib import Path

from components.ingest_images.discovery.counts import OTHER, DiscoveryCounts
from components.ingest_images.ingest import IngestResult, doubt_sentence
from components.report import Picture, Report, duration

_MAXIMUM_ROWS = 1000


def write_report(result: IngestResult, path: str) -> None:
    """Write a page with counts, duration, quarantined files and sample images."""
    quarantined = result.quarantined.total()
    report = Report("Ingested images", result.source, _summary(result, quarantined))
    report.figures(
        {
            "New or changed files": result.found,
            "Images added": result.ingested,
            "Quarantined files": quarantined,
            "Duration": duration(result.seconds),
            "Version of table 'images'": result.table_version,
            **({"Archived files": result.discovery.archived} if result.discovery.archived else {}),
        }
    )
    if result.discovery.modes:
        report.text(f"Files were found by {' and '.join(result.discovery.modes)}.")
    if not result.ever_found:
        report.warning(
            "This source has never contained a matching file. Check its URI, unless no image has arrived yet."
        )
    elif result.found == 0:
        report.text("If you expected new files, check the delivery to the source.")
    if result.discovery.suffixes and not result.discovery.listed:
        report.warning(
            "The source has files, but their names do not match glob; see the table of files passed over. Correct glob"
            " in ingest_options."
        )
    _add_classes(report, result)
    if quarantined:
        report.table("Quarantined files by reason", ("Reason", "Files"), result.quarantined.most_common())
        shown = sorted(result.quarantined_files, key=lambda item: (item[1], item[0]))
        extent = "" if len(shown) == quarantined else f": {len(shown):,} of {quarantined:,}"
        report.table(f"Quarantined files{extent}", ("File", "Reason"), shown)
    passed_over = _passed_over(result.discovery)
    if passed_over:
        report.table("Files and folders passed over", ("Kind", "Number"), passed_over)
    if result.discovery.examples:
        report.table("Unreadable folders and names", ("Path",), [(path,) for path in result.discovery.examples])
    if result.sample:
        report.gallery("Sample of the new images", [Picture(content, "", path) for path, content in result.sample])
    report.write(Path(path))


def _add_classes(report: Report, result: IngestResult) -> None:
    """Add the classes of the new images, and what is doubtful about them."""
    if result.doubt:
        report.warning(doubt_sentence(result))
    if result.without_class:
        number = result.without_class.total()
        report.warning(f"{number:,} new images have no label. To label them, import labels, or correct the cause.")
        report.table(
            "New images without a label", ("Reason", "Images"), result.without_class.most_common(_MAXIMUM_ROWS)
        )
    single = [(label, name) for (label, name), count in result.classes.items() if count == 1]
    single = sorted(each for each in single if each[0] in result.new_classes)
    if single:
        report.warning(
            f"{len(single):,} new classes have one image, e.g. '{single[0][1]}'. Check that these folders are classes,"
            " and add images to them."
        )
    if result.several_numbers:
        report.warning(
            "Folders give one class name several numbers, so that the lake has several classes of this name. Rename the"
            " folders, or merge the classes."
        )
        report.table(
            "Class names with several numbers",
            ("Class", "Labels"),
            [(name, ", ".join(map(str, labels))) for name, labels in sorted(result.several_numbers.items())],
        )
    if result.classes:
        rows = [(str(label), name, count) for (label, name), count in sorted(result.classes.items())]
        extent = "" if len(rows) <= _MAXIMUM_ROWS else f": {_MAXIMUM_ROWS:,} of {len(rows):,}"
        report.table(f"Classes of the new images{extent}", ("Label", "Class", "Images"), rows[:_MAXIMUM_ROWS])


def _summary(result: IngestResult, quarantined: int) -> str:
    if result.found == 0:
        return "The source contains no new file."
    images = f"{result.ingested:,} new images are in the lake"
    return (
        f"{images}; {quarantined:,} files are in quarantine." if quarantined else f"{images}; no file was quarantined."
    )


def _passed_over(counts: DiscoveryCounts) -> list[tuple[str, int]]:
    """Return the number of files that the last discovery passed over, by kind."""
    names = {"": "name without a suffix", OTHER: "name with another suffix"}
    suffixes = [
        (names.get(suffix, f"name ends with '{suffix}'"), number) for suffix, number in counts.suffixes.most_common()
    ]
    others = [
        ("name begins with '_' or '.', or is e.g. Thumbs.db", counts.hidden),
        ("symbolic link", counts.links),
        ("pipe, socket or device", counts.special),
        ("folder that can't be listed", counts.unreadable_folders),
        ("name that is not UTF-8", counts.unreadable_names),
        ("vanished during the listing", counts.vanished),
        ("message about another event", counts.ignored_messages),
        ("message that was set aside", counts.poison_messages),
    ]
    return [*suffixes, *((kind, number) for kind, number in others if number)]

"""Validate files again although they have not changed, by a plan of their paths."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
from pyspark.sql import functions as F

from components.errors import InputError
from components.ingest_images.discovery.changes import existing_rows, split
from components.ingest_images.discovery.discover import MAXIMUM_BYTES, MAXIMUM_FILES
from components.ingest_images.labels.pattern import LabelPattern
from components.ingest_images.labels.reader import FolderLabels, Labels
from components.ingest_images.limits import Limits
from components.ingest_images.plan_runner import PlanRunner, source_lock
from components.ingest_images.plans import FILES_SCHEMA
from components.ingest_images.source_labels import read_decision
from components.lake import Lake
from components.lake.tables import FORGOTTEN, IMAGE
from components.parameters.ingest import check_label_pattern
from components.settings import Settings
from components.spark.session import spark_session
from components.storage import uri
from components.storage.stores import FileStatus

FILE_NOT_FOUND = "file not found"


@dataclass(frozen=True)
class RequeuedFile:
    """Outcome for one file.

    Attributes:
        path: Path as the tables spell it.
        reason: Why the file is not an image of the lake; None if it is.
    """

    path: str
    reason: str | None


def requeue(
    settings: Settings,
    paths: Sequence[str],
    labeled: bool | None = None,
    label_pattern: str = "",
    limits: Limits = Limits(),  # noqa: B008 - frozen
) -> list[RequeuedFile]:
    """Validate files again although they have not changed, and take valid ones out of quarantine.

    Images get the label of their folder again. Files that ingest has not found are ingested, e.g. files whose names it
    skips.

    Args:
        settings: Settings of the lake and of the landing folders.
        paths: Paths of the files as `files` spells them, or their URIs.
        labeled: Whether folders name the classes of the images. None means as ingest decided for files in the setting
            `labeled_source`, and no for files in the setting `unlabeled_source`.
        label_pattern: Regular expression with a group `label` or `name`, against the path below the source. If empty,
            folders name the classes.
        limits: Upper limits of a valid image.

    Returns:
        The outcome for each file, in the order of `paths`.

    Raises:
        InputError: A path is malformed, or `labeled` is None and the path is in neither landing folder.
    """
    try:
        check_label_pattern(label_pattern)
    except ValueError as error:
        raise InputError(f"label_pattern: {error}") from None
    uris = [uri.normalize(path, "path") for path in paths]
    is_labeled = {path: _is_labeled(settings, path) if labeled is None else labeled for path in uris}
    lake = Lake.open(spark_session(settings), settings)
    groups: dict[tuple[str, bool], list[str]] = {}
    for path, source in _sources(settings, lake, is_labeled).items():
        groups.setdefault((source, is_labeled[path]), []).append(path)
    outcomes: dict[str, RequeuedFile] = {}
    for (source, has_classes), files in groups.items():
        labels: Labels | None = None
        if has_classes:
            decision = None if labeled else read_decision(lake.root, lake.files, source)
            folders = FolderLabels() if decision is None else decision.labels
            labels = LabelPattern(label_pattern) if label_pattern else folders
        outcomes |= {each.path: each for each in requeue_files(lake, files, labels, limits, source)}
    return [outcomes[uri.column_spelling(path)] for path in uris]


def requeue_files(
    lake: Lake, paths: Sequence[str], labels: Labels | None, limits: Limits, source: str
) -> list[RequeuedFile]:
    """Validate files of a source again, in an open lake.

    Args:
        lake: The lake.
        paths: URIs of the files.
        labels: Reads the class from the path; None leaves the images without labels.
        limits: Upper limits of a valid image.
        source: Normalized URI of the landing folder, under whose lock and number the files are planned.

    Returns:
        The outcome for each distinct file.
    """
    statuses = {path: lake.files.status(path) for path in dict.fromkeys(map(uri.column_spelling, paths))}
    # A missing file is not quarantined: its path may be misspelled.
    found = _planned_files({path: status for path, status in statuses.items() if status})
    with source_lock(lake, source):
        runner = PlanRunner(lake, source)
        runner.finish_open_plan()
        for batch in split(found, MAXIMUM_FILES, MAXIMUM_BYTES):
            runner.run(batch, labels, limits, requeued=True)
    reasons = _read_reasons(lake, found["path"]) if found.num_rows else {}
    return [RequeuedFile(path, reasons.get(path, FILE_NOT_FOUND)) for path in statuses]


def _planned_files(statuses: Mapping[str, FileStatus]) -> pa.Table:
    rows = [
        {
            "path": path,
            "length": status.length,
            "modificationTime": status.modification_time.replace(microsecond=0),
            "etag": None,
        }
        for path, status in sorted(statuses.items())
    ]
    return pa.Table.from_pylist(rows, schema=FILES_SCHEMA)


def _read_reasons(lake: Lake, paths: pa.ChunkedArray) -> dict[str, str | None]:
    """Return why each file is not in `images`, by path; None if it is."""
    requested = set(paths.to_pylist())
    rows = existing_rows(lake, paths).where(F.col("path").isin(list(requested))).select("path", "state", "reason")
    return {
        row["path"]: None if row["state"] == IMAGE else FORGOTTEN if row["state"] == FORGOTTEN else row["reason"]
        for row in rows.collect()
    }


def _sources(settings: Settings, lake: Lake, is_labeled: Mapping[str, bool]) -> dict[str, str]:
    """Return the landing folder of each file: that of a setting, or of the table `files`.

    Without either, it is the file's own folder, or the one above it if folders name classes.

    Args:
        settings: Settings of the landing folders.
        lake: The lake.
        is_labeled: Whether folders name the class of a file, by its normalized URI.
    """
    sources = {path: _configured_source(settings, path) for path in is_labeled}
    unknown = {uri.column_spelling(path): path for path, source in sources.items() if not source}
    if unknown:
        rows = existing_rows(lake, pa.chunked_array([[*unknown]], pa.string()))
        for row in rows.where(F.col("path").isin([*unknown])).select("path", "source").collect():
            sources[unknown[row["path"]]] = uri.normalize(row["source"], "source") if row["source"] else ""
    return {path: source or path.rsplit("/", 2 if is_labeled[path] else 1)[0] for path, source in sources.items()}


def _configured_source(settings: Settings, path: str) -> str:
    for name in ("labeled_source", "unlabeled_source"):
        folder = str(getattr(settings, name))
        if folder and path.startswith((folder := uri.normalize(folder, name)) + "/"):
            return folder
    return ""


def _is_labeled(settings: Settings, path: str) -> bool:
    for name, labeled in (("labeled_source", True), ("unlabeled_source", False)):
        folder = getattr(settings, name)
        if folder and path.startswith(uri.normalize(folder, name) + "/"):
            return labeled
    raise InputError(
        f"path: '{path}' is in neither labeled_source nor unlabeled_source. Add --labeled if its folder names its"
        " class, else --unlabeled."
    )

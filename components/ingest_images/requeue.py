"""Validate files again although they have not changed, by a plan of their paths."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
from pyspark.sql import functions as F

from components.errors import InputError
from components.ingest_images.discovery.changes import existing_rows, split
from components.ingest_images.discovery.discover import MAXIMUM_BYTES, MAXIMUM_FILES
from components.ingest_images.labels import LabelPattern
from components.ingest_images.limits import Limits
from components.ingest_images.plan_runner import PlanRunner, source_lock
from components.ingest_images.plans import FILES_SCHEMA
from components.lake import Lake
from components.lake.tables import FORGOTTEN, IMAGE
from components.parameters.ingest import IngestOptions
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
    label_pattern: str = IngestOptions().label_pattern,
    limits: Limits = Limits(),  # noqa: B008 - frozen
) -> list[RequeuedFile]:
    """Validate files again although they have not changed, and take valid ones out of quarantine.

    Images get the label of their folder again. Files that ingest has not found are ingested, e.g. files whose names it
    skips.

    Args:
        settings: Settings of the lake and of the landing folders.
        paths: Paths of the files as `files` spells them, or their URIs.
        labeled: Whether the folder of an image names its class. None means yes for files in the setting
            `labeled_source`, and no for files in the setting `unlabeled_source`.
        label_pattern: Regular expression whose only group is the class id in a folder name.
        limits: Upper limits of a valid image.

    Returns:
        The outcome for each file, in the order of `paths`.

    Raises:
        InputError: A path is malformed, or `labeled` is None and the path is in neither landing folder.
    """
    labels = LabelPattern(label_pattern)
    uris = [uri.normalize(path, "path") for path in paths]
    groups: dict[tuple[str, bool], list[str]] = {}
    for file_uri in uris:
        is_labeled = _is_labeled(settings, file_uri) if labeled is None else labeled
        groups.setdefault((_source(settings, file_uri), is_labeled), []).append(file_uri)
    lake = Lake.open(spark_session(settings), settings)
    outcomes = {
        outcome.path: outcome
        for (source, is_labeled), file_uris in groups.items()
        for outcome in requeue_files(lake, file_uris, labels if is_labeled else None, limits, source)
    }
    return [outcomes[uri.column_spelling(file_uri)] for file_uri in uris]


def requeue_files(
    lake: Lake, paths: Sequence[str], labels: LabelPattern | None, limits: Limits, source: str
) -> list[RequeuedFile]:
    """Validate files of a source again, in an open lake.

    Args:
        lake: The lake.
        paths: URIs of the files.
        labels: Reads the class from the folder name; None leaves the images without labels.
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


def _source(settings: Settings, path: str) -> str:
    """Return the landing folder that contains a file; its own folder if no setting names one."""
    for name in ("labeled_source", "unlabeled_source"):
        folder = str(getattr(settings, name))
        if folder and path.startswith((folder := uri.normalize(folder, name)) + "/"):
            return folder
    return path.rpartition("/")[0]


def _is_labeled(settings: Settings, path: str) -> bool:
    for name, labeled in (("labeled_source", True), ("unlabeled_source", False)):
        folder = getattr(settings, name)
        if folder and path.startswith(uri.normalize(folder, name) + "/"):
            return labeled
    raise InputError(
        f"path: '{path}' is in neither labeled_source nor unlabeled_source. Add --labeled if its folder names its"
        " class, else --unlabeled."
    )

"""Taking files out of quarantine: each is read and judged again as it is now."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pyspark.sql import functions as F

from components.errors import InputError
from components.ingest_images.batch import write_batch
from components.ingest_images.judge import JUDGED_COLUMNS, judge
from components.ingest_images.labels import DEFAULT_LABEL_PATTERN, LabelPattern
from components.ingest_images.limits import Limits
from components.lake import Lake, frame, spark_session
from components.lake.tables import IMAGES, QUARANTINE
from components.settings import Settings
from components.storage import FileStatus, files, uri
from components.workers.budget import Budget

NOT_THERE = "there is no such file"
_FILE_COLUMNS = "path STRING, modificationTime TIMESTAMP, length BIGINT, content BINARY"


@dataclass(frozen=True)
class Requeued:
    """Where a file is by now.

    Attributes:
        path: The file.
        reason: Why it is not in `images`; None if it is.
    """

    path: str
    reason: str | None


def requeue(
    settings: Settings,
    paths: Sequence[str],
    labelled: bool | None = None,
    label_pattern: str = DEFAULT_LABEL_PATTERN,
    limits: Limits = Limits(),  # noqa: B008 - frozen
) -> list[Requeued]:
    """Read files again, and move those that are good by now from quarantine to `images`.

    Files that were in neither come in as well, as those whose names ingest passes over.

    Args:
        settings: Names the lake, and the folders where images land.
        paths: The files, as `quarantine` spells them or as URIs.
        labelled: Whether the folder that an image is in names its class; None if that is so for files in the settings'
            `labelled_source`, and not for those in its `unlabelled_source`.
        label_pattern: Regular expression with one group, the class' number.
        limits: What an image may be at most.

    Returns:
        Where each file is, in the order of `paths`.

    Raises:
        InputError: A path is malformed, or lies in neither folder.
    """
    labels = LabelPattern(label_pattern)
    of_kind: dict[bool, list[str]] = {True: [], False: []}
    normal = [uri.normalize(path, "path") for path in paths]
    for path in normal:
        of_kind[_is_labelled(settings, path) if labelled is None else labelled].append(path)
    lake = Lake.open(spark_session(settings), settings)
    found = {
        each.path: each
        for kind, some in of_kind.items()
        for each in requeue_files(lake, some, labels if kind else None, limits)
    }
    return [found[uri.column_spelling(path)] for path in normal]


def requeue_files(lake: Lake, paths: Sequence[str], labels: LabelPattern | None, limits: Limits) -> list[Requeued]:
    """Do what `requeue` does for files of one kind, in a session that is there already.

    Args:
        lake: Where to.
        paths: URIs of the files.
        labels: Reads the class from the folder; None for images without labels.
        limits: What an image may be at most.
    """
    outcomes = []
    for part in _parts(lake, dict.fromkeys(map(uri.column_spelling, paths)), limits):
        outcomes += _requeue_part(lake, part, labels, limits)
    return outcomes


def _parts(lake: Lake, paths: Iterable[str], limits: Limits) -> Iterator[dict[str, FileStatus | None]]:
    """Yield files in parts whose contents fit into the memory, or of one."""
    budget = Budget.of(lake.spark).batch_bytes
    part: dict[str, FileStatus | None] = {}
    total = 0
    for path in paths:
        status = files.status(path)
        length = status.length if status and status.length <= limits.bytes else 0
        if part and total + length > budget:
            yield part
            part, total = {}, 0
        part[path] = status
        total += length
    if part:
        yield part


def _requeue_part(
    lake: Lake, part: dict[str, FileStatus | None], labels: LabelPattern | None, limits: Limits
) -> list[Requeued]:
    rows: list[tuple[str, datetime, int, bytearray]] = []
    for path, status in part.items():
        if status and 0 < status.length <= limits.bytes:
            content = bytearray(files.read_bytes(path))
            rows.append((path, status.modification_time, len(content), content))
    judged = frame(lake.spark, rows, _FILE_COLUMNS).mapInArrow(judge(labels, limits), JUDGED_COLUMNS)
    # What is not there is no file to account for: the path may be misspelt.
    there = [path for path, status in part.items() if status]
    write_batch(lake, judged, there, limits, labels is not None)
    hashes = {path: hashlib.sha256(content).hexdigest() for path, _, _, content in rows}
    return [Requeued(path, reason) for path, reason in _reasons(lake, part, hashes).items()]


def _reasons(lake: Lake, paths: Iterable[str], hashes: Mapping[str, str]) -> dict[str, str | None]:
    """Return for each path why the file with that content is in quarantine, or None."""
    named = F.col("path").isin(list(paths))
    images = {
        row["path"]: row["content_sha256"]
        for row in lake.read(IMAGES).where(named).select("path", "content_sha256").collect()
    }
    refused: dict[tuple[str, str | None], str] = {
        (row["path"], row["content_sha256"]): row["reason"] for row in lake.read(QUARANTINE).where(named).collect()
    }

    def reason(path: str) -> str | None:
        content = hashes.get(path)
        if path in images and content in (None, images[path]):
            return None
        return refused.get((path, content), NOT_THERE)

    return {path: reason(path) for path in paths}


def _is_labelled(settings: Settings, path: str) -> bool:
    for name, labelled in (("labelled_source", True), ("unlabelled_source", False)):
        folder = getattr(settings, name)
        if folder and path.startswith(uri.normalize(folder, name) + "/"):
            return labelled
    raise InputError(
        f"path: '{path}' lies neither in the labelled nor in the unlabelled source of the settings. Give"
        " --labelled if its folder names its class, else --unlabelled."
    )

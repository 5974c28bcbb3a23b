"""One batch of files: each of them comes into `images` or `quarantine`, and into no more than one of the two."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pyspark import StorageLevel
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from components.images.header import EMPTY
from components.ingest_images.limits import Limits
from components.lake import Lake, Table, frame
from components.lake.tables import CLASSES, IMAGES, QUARANTINE
from components.storage import files

REPLACED = "another content at a known path"
VANISHED = "vanished between listing and reading"


@dataclass
class BatchOutcome:
    """What became of a batch.

    Attributes:
        ingested: Rows added to `images`.
        without_class: Of those, images whose folder names no class.
        refused: Rows added to `quarantine`: path and reason.
        sample: Some of the images: path and bytes.
    """

    ingested: int = 0
    without_class: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)
    sample: list[tuple[str, bytes]] = field(default_factory=list)


def write_batch(
    lake: Lake, batch: DataFrame, listed: Sequence[str], limits: Limits, labelled: bool, sample_size: int = 0
) -> BatchOutcome:
    """Write the files of a batch. It may be written again: nothing is doubled.

    An image that is in stays in, whatever the limits are by now; one that was refused and is good by now comes out of
    quarantine.

    Args:
        lake: Where to.
        batch: The files that could be read, as `judge` returns them.
        listed: Paths of all files of the batch.
        limits: What an image may be at most.
        labelled: Whether the folder that an image is in names its class.
        sample_size: How many of the new images are wanted.

    Raises:
        OSError: A file was listed and is there, but was not read.
    """
    # The frame of a batch reads and decodes its files again at every action.
    judged = batch.persist(StorageLevel.DISK_ONLY)
    try:
        read = _compare(lake, judged)
        unread = _unread(lake, sorted(set(listed) - {file.path for file in read}), limits)
        accepted = [file for file in read if file.reason is None and not file.is_known]
        outcome = BatchOutcome()
        now = datetime.now(UTC)
        if labelled:
            _write_classes(lake, read)
            outcome.without_class = sum(file.label is None for file in accepted)
        if accepted:
            outcome.sample = _sample(judged, [file.path for file in accepted[:sample_size]])
            outcome.ingested = _write_images(lake, judged, now)
        outcome.refused = _write_quarantine(lake, read, unread, now)
        return outcome
    finally:
        judged.unpersist()


@dataclass(frozen=True)
class _File:
    """What there is to know of a file of a batch, but its content.

    Attributes:
        path: The file, as the tables spell it.
        modification_time: When it was last written; None of a file that vanished.
        length: Bytes; None of a file that vanished.
        sha256: Of its content; None if that was not read.
        reason: Why it is refused; None if it is not.
        label: Class id; None if its folder names no class.
        class_name: Name of the class.
        is_known: Whether `images` has something at this path.
    """

    path: str
    modification_time: datetime | None
    length: int | None
    sha256: str | None
    reason: str | None
    label: int | None = None
    class_name: str | None = None
    is_known: bool = False


def _compare(lake: Lake, judged: DataFrame) -> list[_File]:
    """Return the files that were read, beside what `images` has at their paths."""
    known = lake.read(IMAGES).select("path", F.col("content_sha256").alias("known_sha256"))
    rows = judged.drop("content").join(known, "path", "left").collect()
    return [_file(row) for row in rows]


def _file(row: Row) -> _File:
    known = row["known_sha256"]
    # What is in stays in, whatever the limits are by now.
    reason = row["reason"] if known is None else None if known == row["content_sha256"] else REPLACED
    return _File(
        row["path"],
        row["modificationTime"],
        row["length"],
        row["content_sha256"],
        reason,
        row["label"],
        row["class_name"],
        is_known=known is not None,
    )


def _unread(lake: Lake, paths: list[str], limits: Limits) -> list[_File]:
    """Return the listed files that the stream did not read, less those that are as they were."""
    if not paths:
        return []
    rows = _rows_of(lake, IMAGES, paths).select("path", "length").collect()
    known = {row["path"]: row["length"] for row in rows}
    unread = []
    for path in paths:
        status = files.status(path)
        if path in known:
            # Of a file that vanished since, nothing says that it was another one.
            if status is not None and status.length != known[path]:
                unread.append(_File(path, status.modification_time, status.length, None, REPLACED))
        elif status is None:
            unread.append(_File(path, None, None, None, VANISHED))
        elif status.length == 0:
            # Spark plans no task for it.
            unread.append(_File(path, status.modification_time, 0, None, EMPTY))
        elif status.length > limits.bytes:
            reason = f"more than {limits.bytes} bytes"
            unread.append(_File(path, status.modification_time, status.length, None, reason))
        else:
            raise OSError(f"'{path}' was listed and is there, but was not read. Run this step again.")
    return unread


def _write_images(lake: Lake, judged: DataFrame, now: datetime) -> int:
    new = judged.where("reason IS NULL").withColumns({"load_date": F.lit(now.date()), "ingested_at": F.lit(now)})
    return lake.insert_new(IMAGES, new.select(IMAGES.schema.fieldNames()))


def _write_quarantine(lake: Lake, read: list[_File], unread: list[_File], now: datetime) -> list[tuple[str, str]]:
    """Put in the files that are refused, and take out what is known better by now; return what is new: path and reason.

    Out comes a file that is in `images`, but not what once lay at its path in its place; and of a file that is refused,
    the row that was written when it could not be read.
    """
    paths = [file.path for file in [*read, *unread]]
    old = _rows_of(lake, QUARANTINE, paths).select(*QUARANTINE.key, "reason").collect() if paths else []
    known = {(path, sha256) for path, sha256, _ in old}
    new = [file for file in [*read, *unread] if file.reason is not None and (file.path, file.sha256) not in known]
    if new:
        rows = [(file.path, file.modification_time, file.length, file.sha256, file.reason, now.date()) for file in new]
        lake.insert_new(QUARANTINE, frame(lake.spark, rows, QUARANTINE.columns))
    good = {file.path: file.reason is None for file in read}
    released = [
        (path, sha256)
        for path, sha256, reason in old
        if path in good and (reason != REPLACED if good[path] else sha256 is None)
    ]
    if released:
        keys = frame(lake.spark, released, "path STRING, content_sha256 STRING")
        lake.merge(QUARANTINE, keys, lambda builder: builder.whenMatchedDelete())
    return [(file.path, str(file.reason)) for file in new]


def _write_classes(lake: Lake, read: list[_File]) -> None:
    names: dict[int, str | None] = {}
    for file in sorted(read, key=lambda file: file.class_name or ""):
        if file.label is not None:
            names.setdefault(file.label, file.class_name)
    known = {row["label"] for row in lake.read(CLASSES).select("label").collect()}
    rows = [(label, name, None) for label, name in names.items() if label not in known]
    if rows:
        lake.insert_new(CLASSES, frame(lake.spark, rows, CLASSES.columns))


def _sample(judged: DataFrame, paths: list[str]) -> list[tuple[str, bytes]]:
    if not paths:
        return []
    rows = judged.where(F.col("path").isin(paths)).select("path", "content").collect()
    return [(row["path"], bytes(row["content"])) for row in rows]


def _rows_of(lake: Lake, table: Table, paths: Sequence[str]) -> DataFrame:
    """Return a table's rows for files."""
    wanted = frame(lake.spark, [(path,) for path in paths], "path STRING")
    return lake.read(table).join(wanted, "path", "left_semi")

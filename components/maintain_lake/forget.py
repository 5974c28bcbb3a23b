"""Forget images: remove their bytes from the lake and its exports for good.

The order makes a killed run repeatable. Tombstones come first, so that no ingest and no new training set adds the
images again. The rows of `images` come last, because they show what is left to forget.
"""

import re
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from components.atomic_write import INCOMPLETE
from components.errors import InputError
from components.labeling.batches import EXPORT_LOCK, possible_copy_names
from components.lake import Lake
from components.lake.tables import (
    FILES,
    FORGOTTEN,
    FORGOTTEN_CONTENTS,
    IMAGES,
    LABELING_REQUESTS,
    LABELS,
    PREDICTIONS,
    SEGMENTS,
    TABLES,
)
from components.lake.upkeep import vacuum
from components.settings import Settings
from components.spark.frames import frame
from components.spark.session import spark_session
from components.storage import uri
from components.storage.folder import Folder
from components.storage.open_folder import open_folder
from components.training_set.erasure import erase
from components.training_set.features import TRAINING_SETS_FOLDER
from components.training_set.manifest import MANIFEST, MEMBERS, SEGMENTS_FOLDER
from components.training_set.members import read_members

# More paths and hashes in a condition make Spark's plans slow.
MAXIMUM_IMAGES = 1000

# Columns of `files` that a tombstone changes.
_BLANKED = ("state", "reason", "source_sha256", "content_sha256", "folder_label")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class StoredImage:
    """A content that a path has or had.

    Attributes:
        path: Path of the file.
        content_sha256: Content hash; empty if the file has no content in the lake.
        source_sha256: Hash of the file as it arrived; empty if it was not read.
        load_date: Day of the ingest.
    """

    path: str
    content_sha256: str
    source_sha256: str
    load_date: date


@dataclass
class ForgetResult:
    """The images that were forgotten, or would be in a dry run.

    Attributes:
        images: The contents in `images`.
        duplicates: Paths that were not given, but have the same content.
        tombstones: Paths that cannot come back.
        segments: Number of segments with one of the contents.
        features: Number of files of features that were rewritten.
        copies: Exported copies that were removed, as batch and name.
        unreachable: Paths whose exported copies were not found at any destination, by batch.
        old_training_sets: Folders with pictures of release 0.1.0, which may contain the images.
        bytes_removed: Whether the bytes are already removed. Otherwise, VACUUM removes them after the retention.
    """

    images: list[StoredImage] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    tombstones: list[str] = field(default_factory=list)
    segments: int = 0
    features: int = 0
    copies: list[str] = field(default_factory=list)
    unreachable: dict[str, list[str]] = field(default_factory=dict)
    old_training_sets: list[str] = field(default_factory=list)
    bytes_removed: bool = False


def forget(
    settings: Settings,
    paths: Sequence[str] = (),
    hashes: Sequence[str] = (),
    destinations: Sequence[str] = (),
    now: bool = False,
    dry_run: bool = False,
) -> ForgetResult:
    """Forget the images of some paths or hashes, and their duplicates.

    Args:
        settings: Settings of the lake and of the labeling destination.
        paths: Paths of files, as the tables spell them, or their URIs. They need not be in the lake yet.
        hashes: SHA-256 of files or of their stored pictures.
        destinations: Folders or URLs to which images were exported, in addition to the setting `labeling_destination`.
        now: Whether to remove the bytes now, and not after the retention. It holds the locks of all tables; a task that
            reads images at the same time may fail.
        dry_run: Whether to write nothing.

    Raises:
        InputError: Nothing or too much is given, or a path or hash is malformed.
        TimeoutError: Another task holds a lock for longer than the setting `lock_timeout_seconds`.
        LockLost: A lock was lost. Nothing was written since.
    """
    if not paths and not hashes:
        raise InputError("forget: no images given. Give paths, --from or --sha256.")
    if len(paths) + len(hashes) > MAXIMUM_IMAGES:
        raise InputError(f"forget: more than {MAXIMUM_IMAGES:,} images given. Divide the list.")
    spelled = list(dict.fromkeys(uri.column_spelling(uri.normalize(path, "path")) for path in paths))
    lowered = [text.strip().lower() for text in hashes]
    for text in lowered:
        if not _SHA256.fullmatch(text):
            raise InputError(f"sha256: '{text}' is not a SHA-256. Give 64 hexadecimal digits.")
    lake = Lake.open(spark_session(settings, workers_decode=False), settings)
    addresses = [each for each in (settings.labeling_destination, *destinations) if each]
    return forget_images(lake, settings, spelled, lowered, addresses, now, dry_run)


def forget_images(
    lake: Lake,
    settings: Settings,
    paths: Sequence[str],
    hashes: Sequence[str],
    destinations: Sequence[str],
    now: bool = False,
    dry_run: bool = False,
) -> ForgetResult:
    """Forget images of an open lake; see `forget`. Idempotent.

    It reads the paths and hashes of all images, because a content may have several paths: at 50 million images, 7 GB of
    `files` and as much of `images`. It also reads the paths of labels, labeling requests, predictions and members of
    training sets.
    """
    folders = [open_folder(address, "destination", settings) for address in destinations]
    with ExitStack() as locks:
        if not dry_run:
            # A running export could write a copy after the copies were removed. This lock comes first, because an
            # export takes the locks of tables while it holds it.
            locks.enter_context(lake.writer(EXPORT_LOCK))
            # Every writer of `files` holds the lock of `images`, and takes those of other tables while it holds it.
            locks.enter_context(lake.writer(IMAGES.name))
            for table in TABLES if now else (SEGMENTS,):
                locks.enter_context(lake.writer(table.name))
        result = _find(lake, paths, hashes)
        contents = {image.content_sha256 for image in result.images} | set(hashes)
        contents |= _forgotten_before(lake, paths, hashes)
        result.old_training_sets = _old_training_sets(lake)
        if dry_run:
            result.segments = len(_segments_with(lake, contents))
            return result
        _write_tombstones(lake, result, hashes)
        segments = _segments_with(lake, contents)
        result.segments = len(segments)
        for segment in segments:
            lake.check_held()
            result.features += erase(lake.root, segment, contents, lake.files)
        _remove_parts(lake)
        # Requests of the paths count even if no content is found: an earlier run may have named another destination.
        requested = F.col("content_sha256").isin(sorted(contents)) | F.col("path").isin(list(paths))
        _remove_copies(lake, requested, folders, result)
        if result.images:
            days = sorted({image.load_date for image in result.images})
            rows = F.col("content_sha256").isin(sorted(contents)) & F.col("load_date").isin(days)
            lake.delete(IMAGES, rows)
        if now:
            vacuum(lake, IMAGES, 0)
            result.bytes_removed = True
    return result


def _find(lake: Lake, paths: Sequence[str], hashes: Sequence[str]) -> ForgetResult:
    """Find all past and present contents of the paths, and all paths with them.

    A path that has another content now keeps it. Different files can have the same stored picture, so `images` is read
    again until no content is added. Hashes of refused files do not count: e.g. empty files are all equal.
    """
    contents, sources = set(hashes), set(hashes)
    condition = F.col("path").isin(list(paths)) | _has(contents, sources)
    while True:
        found = _stored(lake, condition)
        before = len(contents) + len(sources)
        images = [image for image in found if image.content_sha256]
        contents |= {image.content_sha256 for image in images}
        sources |= {image.source_sha256 for image in images} - {""}
        condition = _has(contents, sources)
        if len(contents) + len(sources) == before:
            break
    current = lake.read(FILES).where(condition & (F.col("state") != FORGOTTEN)).select("path").collect()
    given = set(paths)
    others = {row["path"] for row in current}
    return ForgetResult(images, sorted(others - given), sorted(others | given))


def _forgotten_before(lake: Lake, paths: Sequence[str], hashes: Sequence[str]) -> set[str]:
    """Return the contents of some paths and hashes that an earlier run forgot.

    `files` and `images` no longer have them. This run may name another destination, where a copy has the name of a
    duplicate. A training may also have stored features since.
    """
    forgotten = lake.read(FORGOTTEN_CONTENTS).where("content_sha256 IS NOT NULL")
    found = forgotten.where(F.col("source_sha256").isin(list(hashes))).select("content_sha256")
    folder = uri.join(lake.root, TRAINING_SETS_FOLDER)
    members = [uri.join(folder, name, MEMBERS) for name in lake.files.list_names(folder)]
    members = [each for each in members if lake.files.exists(each)]
    frames = [lake.read(table) for table in (LABELS, LABELING_REQUESTS, PREDICTIONS)]
    if members:
        frames.append(read_members(lake.spark, *members))
    for rows in frames:
        of_paths = rows.where(F.col("path").isin(list(paths))).select("content_sha256")
        found = found.union(of_paths.join(forgotten.select("content_sha256"), "content_sha256", "left_semi"))
    return {row["content_sha256"] for row in found.distinct().collect()}


def _has(contents: Iterable[str], sources: Iterable[str]) -> Column:
    return F.col("content_sha256").isin(sorted(contents)) | F.col("source_sha256").isin(sorted(sources))


def _stored(lake: Lake, condition: Column) -> list[StoredImage]:
    rows = lake.read(IMAGES).where(condition).select("path", "content_sha256", "source_sha256", "load_date").distinct()
    return [
        StoredImage(row["path"], row["content_sha256"] or "", row["source_sha256"] or "", row["load_date"])
        for row in rows.collect()
    ]


def _write_tombstones(lake: Lake, result: ForgetResult, hashes: Sequence[str]) -> None:
    """Record the paths in `files`, and the hashes in `forgotten_contents`."""
    time = datetime.now(UTC)
    names = [field.name for field in FILES.schema]
    empty = dict.fromkeys(names)
    rows = [
        tuple((empty | {"path": path, "state": FORGOTTEN, "ingested_at": time}).values()) for path in result.tombstones
    ]
    if rows:
        # Length, time and etag stay, so that discovery takes the file for unchanged.
        blank = {name: f"source.{name}" for name in _BLANKED}
        lake.merge(
            FILES,
            frame(lake.spark, rows, FILES.columns),
            lambda builder: builder.whenMatchedUpdate(set=blank).whenNotMatchedInsertAll(),
        )
    pairs: dict[str, str | None] = dict.fromkeys(hashes)
    for image in result.images:
        # The stored picture may arrive as a file, too, e.g. as the exported copy of a converted one.
        pairs |= {each: image.content_sha256 for each in (image.source_sha256, image.content_sha256) if each}
    if pairs:
        contents = [(source, content, time) for source, content in sorted(pairs.items())]
        lake.insert_new(FORGOTTEN_CONTENTS, frame(lake.spark, contents, FORGOTTEN_CONTENTS.columns))


def _segments_with(lake: Lake, contents: Iterable[str]) -> list[str]:
    """Return the names of the segments whose files hold one of the contents.

    These include segments that no table names.
    """
    folder = uri.join(lake.root, SEGMENTS_FOLDER)
    names = [name for name in lake.files.list_names(folder) if name.endswith(".parquet")]
    if not names:
        return []
    files = [uri.join(folder, name) for name in names]
    rows: DataFrame = lake.spark.read.schema("segment STRING, content_sha256 STRING").parquet(*files)
    found = rows.where(F.col("content_sha256").isin(sorted(contents))).select("segment").distinct()
    return sorted(row["segment"] for row in found.collect())


def _remove_parts(lake: Lake) -> None:
    """Remove incomplete files that killed builds left.

    The caller holds the lock of the segments, so no build is writing one.
    """
    folder = uri.join(lake.root, SEGMENTS_FOLDER)
    for name in lake.files.list_names(folder):
        if name.endswith(INCOMPLETE):
            lake.check_held()
            lake.files.remove(uri.join(folder, name))


def _remove_copies(lake: Lake, requested: Column, folders: Sequence[Folder], result: ForgetResult) -> None:
    """Remove exported copies from each folder.

    The tables do not store the destination of a batch, so each folder is tried.
    """
    requests = lake.read(LABELING_REQUESTS).where(requested)
    for row in requests.select("path", "content_sha256", "batch").distinct().collect():
        names = sorted(possible_copy_names(row["content_sha256"], row["path"]))
        copies = [f"{row['batch']}/{name}" for name in names]
        lake.check_held()
        removed = [copy for copy in copies for folder in folders if folder.remove(copy)]
        result.copies += removed
        if not removed:
            result.unreachable.setdefault(row["batch"], []).append(row["path"])


def _old_training_sets(lake: Lake) -> list[str]:
    """Return the URIs of release 0.1.0's training sets, which contain pictures."""
    folder = uri.join(lake.root, TRAINING_SETS_FOLDER)
    found = {
        name.partition("/")[0]
        for name in lake.files.find(folder)
        if name.partition("/")[2].partition("/")[0] not in (MANIFEST, MEMBERS)
        and not name.rpartition("/")[2].startswith(".")
    }
    return [uri.join(folder, name) for name in sorted(found)]

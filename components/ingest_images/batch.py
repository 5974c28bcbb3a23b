"""Execute a plan: its files go into `images` by one commit, and then into `files` by path.

Each step is idempotent, so an interrupted plan is executed again from its start. The commit to `images` carries the
plan's number as its transaction's version, so it happens once. What it contains is read back from the table, without
content: a repeated execution, which reads no file, merges the same rows into `files`.

Many runs have few new files, so a run that is not repeated reads as little as possible: `files` only if it has changed
since discovery or has one of the paths, and of `images` only the data files of its own commit.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from components.errors import InputError
from components.ingest_images.discovery.changes import existing_rows, is_unchanged_row
from components.ingest_images.image_classes import ImageClasses, classify_images
from components.ingest_images.plans import Plan, transaction_id
from components.ingest_images.read_errors import VANISHED
from components.ingest_images.worker import FORGOTTEN_CONTENT, INPUT, OUTPUT_COLUMNS, UNCHANGED, Work, make_worker
from components.lake import Lake
from components.lake.data_files import read_contents, read_rows
from components.lake.tables import FILES, FORGOTTEN, FORGOTTEN_CONTENTS, IMAGE, IMAGES, QUARANTINED
from components.spark.frames import frame
from components.spark.memory_budget import Budget
from components.storage import uri
from components.storage.access import Access
from components.storage.stores import DENIED, AccessRefusedError, open_store

# The JVM gets content in batches of at most this size, so that it holds little of it, whatever its memory.
_BATCH_BYTES = 8 * 2**20
# Files of a range become one file of `images`. Ranges bound what a failed task repeats.
_BYTES_PER_RANGE = 128 * 2**20
_FILES_PER_RANGE = 16
# The work for a file besides reading its bytes, expressed in bytes.
_BYTES_PER_FILE = 32 * 2**10
# From this number of files on, refusals are taken for a mistake in the permissions of the source.
_FILES_OF_A_SOURCE = 20
_SAMPLE_BYTES = 64 * 2**20
# A data file of `images` has about 250 row groups, each of which is a request to a store. Executors read many files
# faster than this process.
_DATA_FILES_READ_HERE = 8
_READ_BACK = ("path", "content_sha256", "source_sha256", "reason")
# By which the clocks of two machines differ at most.
_CLOCK_SKEW = timedelta(hours=1)


@dataclass
class BatchOutcome:
    """Counts and examples of an executed plan.

    Attributes:
        found: Number of files that were new or changed.
        ingested: Number of images added.
        classes: Number of added images of each class, by class id and name of the folder.
        new_classes: Class ids that the lake did not have.
        without_class: Number of added images that have no class although the source is labeled, by reason.
        several_numbers: Class ids of each name that has several, of the classes of added images.
        quarantined: Path and reason of each file put into quarantine.
        sample: Path and content of some added images.
    """

    found: int = 0
    ingested: int = 0
    classes: Counter[tuple[int, str]] = field(default_factory=Counter)
    new_classes: set[int] = field(default_factory=set)
    without_class: Counter[str] = field(default_factory=Counter)
    several_numbers: dict[str, list[int]] = field(default_factory=dict)
    quarantined: list[tuple[str, str]] = field(default_factory=list)
    sample: list[tuple[str, bytes]] = field(default_factory=list)


def execute(lake: Lake, plan: Plan, access: Access, sample_size: int = 0, absent_in: int | None = None) -> BatchOutcome:
    """Read, validate and store the files of a plan. Idempotent.

    Files that `files` already has unchanged are left out, e.g. because another source contains them, too. So are
    forgotten files.

    Args:
        lake: The lake.
        plan: The plan.
        access: Access to the store of the files.
        sample_size: Maximum number of added images in the outcome's sample.
        absent_in: A version of `files` that has none of the plan's paths; None if that is not known.

    Raises:
        InputError: The task may not read the source.
        RuntimeError: The commit to `images` was skipped or lost rows.
    """
    # Held to the end: another source may contain the same files.
    with lake.writer(IMAGES.name):
        existing = {} if absent_in == lake.version(FILES) else _existing_files(lake, plan)
        data_files: list[str] | None = None
        if not _is_committed(lake, plan):
            new = _new_files(plan, existing)
            if new.num_rows == 0:
                return BatchOutcome()
            _require_read_access(new, access)
            _append(lake, plan, new, existing, access)
            data_files = lake.newest_data_files(IMAGES, transaction_id(plan.source), plan.number)
            if data_files is not None and len(data_files) > _DATA_FILES_READ_HERE:
                data_files = None
            written = _read_back(lake, plan, data_files)
            if not written:
                raise _not_committed(plan)
            if len(written) != new.num_rows:
                raise RuntimeError(
                    f"images: {len(written):,} of the {new.num_rows:,} rows of batch '{plan.id}' are in the table. Was"
                    " it restored to an earlier version? Run this step again."
                )
        else:
            written = _read_back(lake, plan, data_files)
            # The rows of images that were forgotten meanwhile are gone. If others are lost, they are found again.
            if not written and not _has_forgotten_since(lake, plan.planned_at - _CLOCK_SKEW):
                raise _not_committed(plan)
        # A tombstone stays, whatever the plan has found before.
        written = [row for row in written if not _is_forgotten(existing.get(row["path"]))]
        if not written:
            return BatchOutcome()
        rows = _file_rows(plan, written, existing)
        # Before `files`: if the run is killed between the two writes, the next one finds the classes by their names.
        images = [row["path"] for row in rows if row["state"] == IMAGE]
        classes = ImageClasses() if plan.labels is None else classify_images(lake, plan.source, plan.labels, images)
        for row in rows:
            row["folder_label"] = classes.label(row["path"])
        record_files(lake, rows, existing)
    added = {row["path"] for row in written if row["reason"] is None}
    accepted = [row for row in rows if row["path"] in added]
    outcome = BatchOutcome(
        found=len(written),
        ingested=len(accepted),
        new_classes=set(classes.numbering.new),
        several_numbers=classes.numbering.several_numbers,
        quarantined=[(row["path"], row["reason"]) for row in rows if row["state"] == QUARANTINED],
        sample=_read_sample(lake, plan, accepted[:sample_size], data_files),
    )
    for row in accepted if plan.labels is not None else ():
        if row["folder_label"] is None:
            outcome.without_class[classes.reason(row["path"])] += 1
        else:
            outcome.classes[row["folder_label"], classes.name(row["path"])] += 1
    return outcome


def _existing_files(lake: Lake, plan: Plan) -> dict[str, dict[str, Any]]:
    """Return the rows of `files` about the files of a plan, by path."""
    paths = plan.files["path"]
    planned = F.broadcast(frame(lake.spark, [(path,) for path in paths.to_pylist()], "path STRING"))
    rows = existing_rows(lake, paths).join(planned, "path", "left_semi").toArrow()
    return {row["path"]: row for row in rows.to_pylist()}


def _new_files(plan: Plan, existing: Mapping[str, Mapping[str, Any]]) -> pa.Table:
    """Return the files of a plan that are new or changed, or that are validated again."""

    def is_new(file: Mapping[str, Any]) -> bool:
        row = existing.get(file["path"])
        return row is None or (not _is_forgotten(row) and (plan.requeued or not is_unchanged_row(file, row)))

    return plan.files.filter(pa.array(map(is_new, plan.files.to_pylist()), pa.bool_()))


def _is_forgotten(row: Mapping[str, Any] | None) -> bool:
    return row is not None and row["state"] == FORGOTTEN


def _has_forgotten_since(lake: Lake, time: datetime) -> bool:
    return not lake.read(FORGOTTEN_CONTENTS).where(F.col("forgotten_at") >= F.lit(time)).isEmpty()


def _is_committed(lake: Lake, plan: Plan) -> bool:
    last = lake.last_transaction(IMAGES, transaction_id(plan.source))
    return last is not None and last >= plan.number


def _require_read_access(files: pa.Table, access: Access) -> None:
    """Raise an error if the source as a whole can't be read: its files would all go to quarantine, and stay there.

    Raises:
        InputError: The first, the middle and the last of many files can't be read for lack of permission.
    """
    count = files.num_rows
    if count < _FILES_OF_A_SOURCE:
        return
    paths = [files["path"][index].as_py() for index in (0, count // 2, count - 1)]
    if all(_is_denied(path, access) for path in paths):
        raise InputError(
            f"source: no permission to read '{paths[0]}' and other files. Grant the task's identity read access to the"
            " source, and run this step again."
        )


def _is_denied(path: str, access: Access) -> bool:
    try:
        with open_store(path, access).open(path) as file:
            file.read(1)
    except PermissionError:
        return True
    except AccessRefusedError as refusal:
        return refusal.reason == DENIED
    except OSError:
        # The worker records the reason.
        pass
    return False


def _append(lake: Lake, plan: Plan, new: pa.Table, existing: Mapping[str, Mapping[str, Any]], access: Access) -> None:
    stored = [
        row["source_sha256"] if (row := existing.get(path)) and row["state"] == IMAGE else None
        for path in new["path"].to_pylist()
    ]
    files = new.drop_columns("etag").append_column("stored_sha256", pa.array(stored, pa.string())).cast(INPUT)
    ranges = split_ranges(files, lake.spark.sparkContext.defaultParallelism)
    forgotten: frozenset[str] = frozenset()
    if not lake.is_known_empty(FORGOTTEN_CONTENTS):
        # Few: each is a request of a person.
        contents = lake.read(FORGOTTEN_CONTENTS).select("source_sha256").collect()
        forgotten = frozenset(row["source_sha256"] for row in contents)
    batch_bytes = min(_BATCH_BYTES, Budget.of(lake.spark).batch_bytes)
    work = Work(access, plan.limits, batch_bytes, forgotten=forgotten)
    rows = (
        lake.spark.range(0, len(ranges), 1, len(ranges))
        .mapInArrow(make_worker(ranges, work), OUTPUT_COLUMNS)
        .withColumns(
            {
                "batch": F.lit(plan.id),
                "load_date": F.lit(plan.load_date),
                "ingested_at": F.lit(plan.planned_at),
            }
        )
    )
    transaction = transaction_id(plan.source), plan.number
    lake.append(IMAGES, rows.select(IMAGES.schema.names), transaction=transaction, metadata=plan.id)


def split_ranges(files: pa.Table, cores: int) -> list[pa.Table]:
    """Divide files into contiguous ranges of about the same work.

    Args:
        files: Files, at least one, with the column `length`.
        cores: Number of ranges that are processed at once.
    """
    weights = pc.add(files["length"], _BYTES_PER_FILE)
    total = pc.sum(weights).as_py()
    number = max(ceil(total / _BYTES_PER_RANGE), min(cores, ceil(files.num_rows / _FILES_PER_RANGE)))
    # Each file belongs to the range that contains the middle of its work.
    middles = pc.subtract(pc.cumulative_sum(weights), pc.divide(weights, 2))
    numbers = pc.divide(pc.multiply(middles, number), total).to_pylist()
    starts = [index for index, each in enumerate(numbers) if index == 0 or each != numbers[index - 1]]
    ends = [*starts[1:], files.num_rows]
    return [files.slice(start, end - start) for start, end in zip(starts, ends, strict=True)]


def _read_back(lake: Lake, plan: Plan, data_files: Sequence[str] | None) -> list[dict[str, Any]]:
    """Return the rows of a plan in `images`, without content.

    Args:
        lake: The lake.
        plan: The plan.
        data_files: URIs of the data files with these rows alone; None searches the table.
    """
    if data_files:
        rows = read_rows(data_files, _READ_BACK, lake.files.access)
    else:
        rows = lake.read(IMAGES).where(_is_of(plan)).select(*_READ_BACK).toArrow()
    found: list[dict[str, Any]] = rows.to_pylist()
    return found


def _not_committed(plan: Plan) -> RuntimeError:
    return RuntimeError(
        f"images: batch '{plan.id}' was not committed, because a later one of its source was. Was the table restored to"
        " an earlier version? Remove the source's folder in _plans, and run this step again."
    )


def _is_of(plan: Plan) -> Column:
    return (F.col("load_date") == F.lit(plan.load_date)) & (F.col("batch") == F.lit(plan.id))


def _file_rows(
    plan: Plan, written: Sequence[dict[str, Any]], existing: Mapping[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the rows of `files` that a plan adds or replaces, still without labels."""
    planned = {row["path"]: row for row in plan.files.to_pylist()}

    def row(stored: dict[str, Any]) -> dict[str, Any]:
        path, reason = stored["path"], stored["reason"]
        # What was not read has no version: if it reappears, it has changed.
        listed = dict.fromkeys(("length", "modificationTime", "etag")) if reason == VANISHED else planned[path]
        earlier = existing.get(path, {})
        # requeue may know the file's own folder only.
        earlier_source = earlier.get("source") if plan.requeued else None
        # A content that was stored before stays where it is, even if its file vanishes.
        stays = reason == UNCHANGED or (reason == VANISHED and earlier.get("state") == IMAGE)
        content = earlier if stays else stored | {
            "state": FORGOTTEN if reason == FORGOTTEN_CONTENT else QUARANTINED if reason else IMAGE,
            "load_date": plan.load_date,
            "ingested_at": plan.planned_at,
        }  # fmt: skip
        return {
            "path": path,
            "source": earlier_source or uri.column_spelling(plan.source),
            "length": listed["length"],
            "modificationTime": listed["modificationTime"],
            "etag": listed["etag"],
            "source_sha256": content["source_sha256"],
            "content_sha256": content["content_sha256"],
            "state": content["state"],
            "reason": content["reason"],
            "folder_label": None,
            "load_date": content["load_date"],
            "ingested_at": content["ingested_at"],
        }

    return [row(stored) for stored in written]


def record_files(lake: Lake, rows: Sequence[Mapping[str, Any]], existing: Mapping[str, Mapping[str, Any]]) -> None:
    """Write rows into `files`. Hold the lock of `images`, which every writer of `files` holds.

    Args:
        lake: The lake.
        rows: The rows, each path once.
        existing: The rows of `files` that have these paths, by path.
    """
    written = frame(lake.spark, [tuple(row.values()) for row in rows], FILES.columns)
    if any(row["path"] in existing for row in rows):
        lake.upsert(FILES, written)
    else:
        # The common case: new files. An append reads no file, a MERGE does.
        lake.append(FILES, written)


def _read_sample(
    lake: Lake, plan: Plan, accepted: Sequence[Mapping[str, Any]], data_files: Sequence[str] | None
) -> list[tuple[str, bytes]]:
    """Return path and content of accepted images. The report embeds them, so their bytes are limited."""
    paths: list[str] = []
    total = 0
    for row in accepted:
        total += row["length"]
        if total <= _SAMPLE_BYTES:
            paths.append(row["path"])
    if not paths:
        return []
    if data_files:
        return list(read_contents(data_files, paths, lake.files.access))
    rows: DataFrame = lake.read(IMAGES).where(_is_of(plan) & F.col("path").isin(paths))
    return [(row["path"], bytes(row["content"])) for row in rows.select("path", "content").collect()]

"""Find the segments that hold members, add segments for the others, and merge small ones.

The table `segments` names the segments that exist. A segment's file is written first, and its row is the commit. After
about 4 GiB there is a commit, so a killed build goes on after the last one. Maintenance removes files that a killed
build left.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Self

import pyarrow as pa
from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F
from pyspark.sql.types import IntegerType, StringType, StructField, StructType

from components.build_training_set.segment_file import SegmentFolder
from components.build_training_set.segment_plan import SEGMENT, Limit, cut, plan_merges, segment_name
from components.lake import Lake
from components.lake.content import read_content
from components.lake.tables import SEGMENTS
from components.spark.balanced_tasks import balanced_tasks
from components.spark.frames import frame, persist
from components.storage import uri
from components.training_set.features import FEATURES_FOLDER
from components.training_set.manifest import SEGMENTS_FOLDER, Segment, SplitName

# Images of a commit, which are what a killed build repeats: minutes of work. More cores write more at once. Each commit
# goes through all new rows, and reads row groups of `images` that other commits read too.
_BYTES_PER_COMMIT = 4 * 2**30
_BYTES_PER_CORE = 2**30
_MOST_COMMITS = 8
# A task number, and a `Segment` as JSON.
_RESULT = "_task INT, segment STRING"


@dataclass(frozen=True)
class Amount:
    """A number of images and the bytes of their files."""

    images: int = 0
    bytes: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        """Return the sum."""
        return Amount(self.images + other.images, self.bytes + other.bytes)

    @classmethod
    def of(cls, row: Row) -> Self:
        """Return the amount in a row with the columns of `amounts`."""
        return cls(int(row["images"] or 0), int(row["bytes"] or 0))


def amounts() -> tuple[Column, Column]:
    """Return the aggregates `images` and `bytes` of a frame with the column `length`."""
    return F.count("*").alias("images"), F.sum("length").alias("bytes")


@dataclass(frozen=True)
class Placement:
    """The places of members in segments.

    Attributes:
        members: The members with the columns `segment` and `row`.
        segments: Segments with at least one member, sorted by split and name.
        reused: Members that earlier segments hold.
        added: Members that new segments hold.
        new_segments: Number of new segments.
        merged_segments: Number of small segments that were merged into others.
    """

    members: DataFrame
    segments: list[Segment]
    reused: Amount
    added: Amount
    new_segments: int
    merged_segments: int


def place_members(lake: Lake, members: DataFrame, cached: ExitStack) -> Placement:
    """Find the segment and the row of each member, and write segments for members that have none.

    The lock of the table is held from the read of the table to the last commit, so two builds never add an image twice.

    Args:
        lake: The lake.
        members: Frame of path, content_sha256, load_date, ingested_at, length, split, order and other columns, each
            content once.
        cached: Unpersists the frames that the placement needs.
    """
    with lake.writer(SEGMENTS.name):
        existing, merged = _merge_small(lake, _read_segments(lake))
        located = persist(members.join(_rows(lake, existing), ["content_sha256", "split"], "left"), cached)
        is_new = F.col("segment").isNull().alias("is_new")
        found = {row["is_new"]: Amount.of(row) for row in located.groupBy(is_new).agg(*amounts()).collect()}
        new: list[Segment] = []
        if True in found:
            columns = [name for name in located.columns if name not in ("segment", "row")]
            planned = _plan(located.where("segment IS NULL").select(columns))
            # A partition for each split would leave cores idle.
            planned = persist(planned.repartition(balanced_tasks(lake.spark), "segment"), cached)
            for sizes in _groups(planned, _bytes_per_commit(lake, found[True].bytes)):
                written = _write(lake, planned, sizes)
                _commit(lake, written)
                new += written
            located = located.where("segment IS NOT NULL").unionByName(planned)
    used = {row["segment"] for row in located.select("segment").distinct().collect()}
    segments = [segment for segment in (*existing, *new) if segment.name in used]
    return Placement(
        located,
        sorted(segments, key=lambda segment: (segment.split, segment.name)),
        reused=found.get(False, Amount()),
        added=found.get(True, Amount()),
        new_segments=len(new),
        merged_segments=merged,
    )


def _read_segments(lake: Lake) -> list[Segment]:
    """Return the segments that were not merged into others, oldest first."""
    rows = lake.read(SEGMENTS).where("replaced_by IS NULL").orderBy("made_at", "name")
    return [Segment(**row.asDict()) for row in rows.select("name", "split", "row_groups", "bytes").collect()]


def _rows(lake: Lake, segments: Iterable[Segment]) -> DataFrame:
    """Return content_sha256, split, segment and row of the images of segments, each content once in a split."""
    splits = {segment.name: segment.split.value for segment in segments}
    if not splits:
        return frame(lake.spark, [], "content_sha256 STRING, split STRING, segment STRING, row INT")
    names = [uri.join(lake.root, SEGMENTS_FOLDER, f"{name}.parquet") for name in splits]
    rows = lake.spark.read.schema("segment STRING, row INT, content_sha256 STRING").parquet(*names)
    return (
        rows.join(F.broadcast(frame(lake.spark, splits.items(), "segment STRING, split STRING")), "segment")
        .groupBy("content_sha256", "split")
        .agg(F.min(F.struct("segment", "row")).alias("_place"))
        .select("content_sha256", "split", "_place.segment", "_place.row")
    )


def _plan(images: DataFrame) -> DataFrame:
    """Add `segment` and `row` to images without a segment: in hash order, in segments of at most 256 MiB."""
    place = [StructField("segment", StringType()), StructField("row", IntegerType())]
    limit = SEGMENT

    def assign(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return _assign_segments(batches, limit)

    return (
        images.repartition(len(SplitName), "split")
        .sortWithinPartitions("split", "order")
        .mapInArrow(assign, StructType([*images.schema, *place]))
    )


def _assign_segments(batches: Iterator[pa.RecordBatch], limit: Limit) -> Iterator[pa.RecordBatch]:
    for split, of_split in _runs(batches, "split"):
        # The length is the file's: a picture that ingest converted has another one, of the same magnitude.
        for images in cut(of_split, lambda batch: batch["length"].fill_null(0).to_pylist(), limit):
            name = segment_name(SplitName(split), images["content_sha256"].to_pylist())
            yield from (
                images.append_column("segment", pa.repeat(name, len(images)))
                .append_column("row", pa.array(range(len(images)), pa.int32()))
                .to_batches()
            )


def _runs(batches: Iterator[pa.RecordBatch], column: str) -> Iterator[tuple[str, Iterator[pa.RecordBatch]]]:
    """Yield the values of a column by which batches are sorted, each with the batches of its rows.

    The batches of a value must be read before the next value.
    """
    rest = next(batches, None)

    def run(value: str) -> Iterator[pa.RecordBatch]:
        nonlocal rest
        while rest is not None:
            values = rest[column].to_pylist()
            own = next((row for row, each in enumerate(values) if each != value), len(values))
            if own:
                yield rest.slice(0, own)
            if own < len(values):
                rest = rest.slice(own)
                return
            rest = next(batches, None)

    while rest is not None:
        if not rest.num_rows:
            rest = next(batches, None)
            continue
        value = rest[column][0].as_py()
        yield value, run(value)


def _bytes_per_commit(lake: Lake, new: int) -> int:
    cores = int(lake.spark.sparkContext.defaultParallelism)
    return max(_BYTES_PER_COMMIT, _BYTES_PER_CORE * cores, new // _MOST_COMMITS)


def _groups(planned: DataFrame, size: int) -> Iterator[dict[str, Amount]]:
    """Yield the planned segments of each commit, with their images: at least `size` bytes, while there are as many.

    They are in hash order. So after a killed build, the next one cuts the rest into the same segments.
    """
    rows = planned.groupBy("split", "segment").agg(*amounts(), F.min("order").alias("order")).collect()
    group: dict[str, Amount] = {}
    for row in sorted(rows, key=lambda row: (row["split"], row["order"])):
        group[row["segment"]] = Amount.of(row)
        if sum(amount.bytes for amount in group.values()) >= size:
            yield group
            group = {}
    if group:
        yield group


def _write(lake: Lake, planned: DataFrame, sizes: Mapping[str, Amount]) -> list[Segment]:
    """Write the files of some planned segments. Only content of their images is read and shuffled."""
    total = sum(sizes.values(), Amount())
    print(f"progress: {total.images:,} new images of {total.bytes / 1e6:,.1f} MB", flush=True)
    # A task for each segment.
    tasks = [(segment, number) for number, segment in enumerate(sorted(sizes))]
    numbered = planned.join(F.broadcast(frame(lake.spark, tasks, "segment STRING, _task INT")), "segment")
    columns = ("path", "content_sha256", "load_date", "ingested_at", "split", "segment", "row", "_task")
    folder = _folder(lake)

    def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        first = next(batches, None)
        if first is not None:
            task, split, name = (first[column][0].as_py() for column in ("_task", "split", "segment"))
            yield _as_batch(task, folder.write(SplitName(split), name, chain([first], batches)))

    return _collect(
        read_content(lake, numbered.select(*columns))
        .repartitionById(len(tasks), "_task")
        .sortWithinPartitions("row")
        .select("_task", "split", "segment", "content_sha256", "content")
        .mapInArrow(write, _RESULT)
    )


def _merge_small(lake: Lake, segments: list[Segment]) -> tuple[list[Segment], int]:
    """Merge small segments if there are many. The files of merged segments stay for earlier training sets.

    Returns:
        The segments that count now, and the number of those that were merged.
    """
    groups = plan_merges(segments)
    if not groups:
        return segments, 0
    replaced = {segment.name for group in groups for segment in group}
    print(f"progress: merging {len(replaced):,} small segments into {len(groups):,}", flush=True)
    folder = _folder(lake)

    def merge(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for row in batch.to_pylist():
                yield _as_batch(row["_task"], folder.merge([Segment(**part) for part in json.loads(row["parts"])]))

    rows = [(number, json.dumps([part.model_dump() for part in group])) for number, group in enumerate(groups)]
    tasks = frame(lake.spark, rows, "_task INT, parts STRING").repartitionById(len(rows), "_task")
    merged = _collect(tasks.mapInArrow(merge, _RESULT))
    _commit(lake, merged, [(part, new.name) for group, new in zip(groups, merged, strict=True) for part in group])
    return [segment for segment in segments if segment.name not in replaced] + merged, len(replaced)


def _commit(lake: Lake, new: Sequence[Segment], replaced: Sequence[tuple[Segment, str]] = ()) -> None:
    """Add segments to the table, and name the segment that replaces each merged one, in one commit."""
    now = datetime.now(UTC)
    rows = [
        (segment.name, segment.split.value, segment.row_groups, segment.rows, segment.bytes, replacement, now)
        for segment, replacement in [*((segment, None) for segment in new), *replaced]
    ]
    source = frame(lake.spark, rows, SEGMENTS.columns)
    if not replaced:
        lake.append(SEGMENTS, source)
        return
    replace = {"replaced_by": "source.replaced_by"}
    lake.merge(SEGMENTS, source, lambda builder: builder.whenMatchedUpdate(set=replace).whenNotMatchedInsertAll())


def _folder(lake: Lake) -> SegmentFolder:
    segments, features = (uri.join(lake.root, name) for name in (SEGMENTS_FOLDER, FEATURES_FOLDER))
    return SegmentFolder(segments, features, lake.files)


def _as_batch(task: int, segment: Segment) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {"_task": pa.array([task], pa.int32()), "segment": pa.array([segment.model_dump_json()])}
    )


def _collect(written: DataFrame) -> list[Segment]:
    """Return the segments that tasks have written, in the order of the tasks."""
    rows = sorted(written.collect(), key=lambda row: row["_task"])
    return [Segment.model_validate_json(row["segment"]) for row in rows]

"""Find the training sets that have a content, without reading their members.

Rows of `members.parquet` are in the order of segment and row, so Parquet's statistics lead to one page of each training
set, if segment and row of the content are known. The table `groups` has the split of a content and the time of the
build that found it first. That build wrote it into a segment, and only a merge of segments moves it after that. So the
search reads the hashes of that build's segments, commit by commit, until one has the content. Then it reads the hashes
of the segments that replaced this one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from itertools import groupby
from operator import or_

from pyspark.sql import Row
from pyspark.sql import functions as F

from components.lake import Lake
from components.lake.tables import GROUPS, SEGMENTS
from components.storage import uri
from components.training_set.features import TRAINING_SETS_FOLDER
from components.training_set.manifest import MANIFEST, MEMBERS, SEGMENTS_FOLDER
from components.training_set.members import read_members
from pipelines.trace.image import Membership, SplitRecord
from pipelines.trace.tables import PinnedTables, utc

_SEGMENT_COLUMNS = "segment STRING, row INT, content_sha256 STRING"


@dataclass(frozen=True)
class SegmentRecord:
    """A row of the table `segments`.

    Attributes:
        name: Name of the segment.
        replaced_by: Segment that has the same images and more; None without one.
        made_at: Time when it was written.
    """

    name: str
    replaced_by: str | None
    made_at: datetime


@dataclass(frozen=True)
class Place:
    """The place of a content.

    Attributes:
        segment: Name of the segment.
        row: Number of the row, from 0.
    """

    segment: str
    row: int


def find_splits(tables: PinnedTables, hashes: Iterable[str]) -> tuple[SplitRecord, ...]:
    """Return the splits of contents that a build has found labeled.

    It reads the hashes of all labeled contents, 64 bytes each: they are random, so no statistics exclude a file.

    Args:
        tables: The tables.
        hashes: Content hashes.
    """
    rows = tables.read(GROUPS).where(F.col("content_sha256").isin(list(hashes)))
    columns = ("content_sha256", "split", "reason", "made_at")
    return tuple(
        SplitRecord(row["content_sha256"], row["split"], row["reason"], utc(row["made_at"]))
        for row in rows.select(*columns).collect()
    )


def find_memberships(tables: PinnedTables, splits: Sequence[SplitRecord], hashes: Sequence[str]) -> list[Membership]:
    """Return the memberships of contents in existing training sets, newest first.

    Args:
        tables: The tables.
        splits: Splits of the contents, as `find_splits` returns them.
        hashes: Content hashes. Training sets of release 0.1.0 have no segments, and are searched for these.
    """
    lake = tables.lake
    folder = uri.join(lake.root, TRAINING_SETS_FOLDER)
    manifests = {
        name.partition("/")[0]: status.modification_time
        for name, status in lake.files.find(folder).items()
        if name.partition("/")[2] == MANIFEST
    }
    if not manifests or not hashes:
        return []
    places = [place for split in splits for place in _find_places(tables, split)]
    # Rows of training sets of releases without segments. Statistics exclude all other training sets.
    conditions = [F.col("segment").isNull() & F.col("content_sha256").isin(list(hashes))]
    conditions += [(F.col("segment") == F.lit(place.segment)) & (F.col("row") == place.row) for place in places]
    members = read_members(lake.spark, *(uri.join(folder, name, MEMBERS) for name in manifests))
    rows = members.where(reduce(or_, conditions)).select("*", F.col("_metadata.file_path").alias("_file")).collect()
    found = {(row["_file"].split("/")[-3], row["content_sha256"]): row for row in rows}
    memberships = [_membership(name, manifests[name], row) for (name, _), row in found.items()]
    return sorted(memberships, key=lambda each: (each.built_at, each.training_set_id), reverse=True)


def search_order(segments: Iterable[SegmentRecord], since: datetime, existing: Iterable[str]) -> list[list[str]]:
    """Return the segments that can hold a content, by commit.

    The most probable commit comes first. Merged segments come last. A large build has several commits, each with its
    own time.

    Args:
        segments: Segments of the content's split.
        since: Time when a build first found the content labeled.
        existing: Names of the segments whose files exist.
    """
    files = set(existing)
    known = list(segments)
    replacements = {each.replaced_by for each in known}

    def commit(segment: SegmentRecord) -> tuple[bool, datetime]:
        return segment.name in replacements, segment.made_at

    later = sorted(
        (each for each in known if each.made_at >= since and each.name in files),
        key=lambda each: (commit(each), each.name),
    )
    return [[each.name for each in group] for _, group in groupby(later, commit)]


def _find_places(tables: PinnedTables, split: SplitRecord) -> list[Place]:
    """Return the places of a content.

    They are in the segments of its first commit, and in the segments that replaced these.
    """
    if split.split is None:
        return []
    lake = tables.lake
    rows = (
        tables.read(SEGMENTS)
        .where((F.col("split") == split.split) & (F.col("made_at") >= F.lit(split.made_at)))
        .select("name", "replaced_by", "made_at")
        .collect()
    )
    segments = {row["name"]: SegmentRecord(row["name"], row["replaced_by"], utc(row["made_at"])) for row in rows}
    existing = {name.removesuffix(".parquet") for name in lake.files.list_names(uri.join(lake.root, SEGMENTS_FOLDER))}
    commits = search_order(segments.values(), split.made_at, existing)
    searches = (_search(lake, names, split.content_sha256) for names in commits)
    found = next((places for places in searches if places), [])
    places = {place.segment: place for place in found}
    for place in found:
        replacement = segments[place.segment].replaced_by
        while replacement is not None and replacement in segments and replacement not in places:
            if replacement in existing:
                places |= {each.segment: each for each in _search(lake, [replacement], split.content_sha256)}
            replacement = segments[replacement].replaced_by
    return list(places.values())


def _search(lake: Lake, segments: Sequence[str], content_sha256: str) -> list[Place]:
    """Search the hashes of segments, and return the places of a content."""
    if not segments:
        return []
    names = [uri.join(lake.root, SEGMENTS_FOLDER, f"{name}.parquet") for name in segments]
    rows = lake.spark.read.schema(_SEGMENT_COLUMNS).parquet(*names)
    found = rows.where(F.col("content_sha256") == F.lit(content_sha256)).select("segment", "row").collect()
    return [Place(*row) for row in found]


def _membership(training_set_id: str, built_at: datetime, row: Row) -> Membership:
    return Membership(
        training_set_id,
        utc(built_at),
        row["content_sha256"],
        row["path"],
        row["split"],
        row["label"],
        row["label_source"],
    )

"""Split the lake's labeled images, and freeze them as a manifest over segments."""

import hashlib
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from time import monotonic

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from components.build_training_set.arrivals import Arrivals, count_arrivals
from components.build_training_set.segments import Amount, Placement, amounts, place_members
from components.build_training_set.splits import add_split
from components.errors import InputError
from components.lake import Lake, Split
from components.lake.tables import CLASSES, FILES, FORGOTTEN_CONTENTS, LABELS, SEGMENTS
from components.settings import Settings
from components.spark.session import spark_session
from components.storage import uri
from components.training_set.features import TRAINING_SETS_FOLDER
from components.training_set.groups import record_groups, with_groups
from components.training_set.manifest import (
    MANIFEST,
    MEMBERS,
    SEGMENTS_FOLDER,
    ImageClass,
    SplitName,
    TrainingSet,
)
from components.training_set.membership import labeled_images

# Rows of a file of `members.parquet`. A rank reads all of them.
_MEMBERS_PER_FILE = 1_000_000


@dataclass(frozen=True)
class BuildResult:
    """A training set with its counts.

    Attributes:
        training_set: Manifest of the training set.
        counts: Number of images by class id and split.
        reused: Members whose content earlier segments hold.
        added: Members whose content this build wrote.
        new_segments: Number of segments that this build wrote for them.
        merged_segments: Number of small segments that this build merged into others.
        left_out: Labeled images that are not members, by reason.
        arrivals: Images of the largest classes by month of arrival.
        seconds: Duration of the build in seconds.
    """

    training_set: TrainingSet
    counts: dict[int, dict[SplitName, int]]
    reused: Amount
    added: Amount
    new_segments: int
    merged_segments: int
    left_out: dict[str, Amount]
    arrivals: Arrivals
    seconds: float


def build(settings: Settings) -> BuildResult:
    """Freeze the lake's labeled images into a training set.

    Args:
        settings: Settings of the lake.

    Raises:
        InputError: A split is empty.
    """
    return build_training_set(Lake.open(spark_session(settings), settings))


def build_training_set(lake: Lake) -> BuildResult:
    """Freeze the labeled images of an open lake into a training set. Idempotent.

    It reads and writes the content of images that no earlier training set has, and narrow columns of the others. If
    images are forgotten meanwhile, it starts again without them.

    Args:
        lake: The lake.

    Raises:
        InputError: A split is empty.
    """
    while (result := _build(lake)) is None:
        print("progress: images were forgotten meanwhile, so the build starts again", flush=True)
    return result


def _build(lake: Lake) -> BuildResult | None:
    """Build a training set; return None if images were forgotten before it had the lock of the segments."""
    started = monotonic()
    # Before `files`, whose tombstones are written first.
    forgotten = lake.read(FORGOTTEN_CONTENTS).count()
    versions = {table.name: lake.version(table) for table in (FILES, LABELS, CLASSES)}
    with ExitStack() as cached:
        labeled = labeled_images(lake, versions).persist(StorageLevel.MEMORY_AND_DISK)
        cached.callback(labeled.unpersist)
        labeled = _group_near_duplicates(lake, add_split(labeled, lake.split)).persist(StorageLevel.MEMORY_AND_DISK)
        cached.callback(labeled.unpersist)
        left_out = {
            row["reason"]: Amount.of(row)
            for row in labeled.where("reason IS NOT NULL").groupBy("reason").agg(*amounts()).collect()
        }
        members = labeled.where("reason IS NULL").drop("reason")
        counts, total = _count(members)
        print(f"progress: {total.images:,} images", flush=True)
        training_set_id = _hash_members(members, lake.split)
        target = uri.join(lake.root, TRAINING_SETS_FOLDER, training_set_id)
        manifest = uri.join(target, MANIFEST)
        # Until the manifest names the segments, maintenance must not remove any.
        with lake.writer(SEGMENTS.name):
            # The members would have images whose content is gone.
            if lake.read(FORGOTTEN_CONTENTS).count() != forgotten:
                return None
            if lake.files.exists(manifest):
                placement = None
                # Maintenance keeps what was written recently, because a run may use it.
                lake.files.write_bytes(manifest, lake.files.read_bytes(manifest))
            else:
                placement = place_members(lake, members, cached)
                _write_members(placement.members, target, total.images)
                training_set = _manifest(lake, training_set_id, target, placement, counts, left_out, versions)
                # The manifest is the commit: without it, the next run rewrites the folder.
                lake.files.write_text(manifest, training_set.model_dump_json(indent=2))
        return BuildResult(
            TrainingSet.read(target, lake.files),
            counts,
            reused=placement.reused if placement else total,
            added=placement.added if placement else Amount(),
            new_segments=placement.new_segments if placement else 0,
            merged_segments=placement.merged_segments if placement else 0,
            left_out=left_out,
            arrivals=count_arrivals(members, {label: sum(by_split.values()) for label, by_split in counts.items()}),
            seconds=monotonic() - started,
        )


def _group_near_duplicates(lake: Lake, labeled: DataFrame) -> DataFrame:
    """Replace the splits of near-duplicates by their common one, and complete the reasons for exclusion.

    Args:
        lake: The lake.
        labeled: Labeled images with `split` and `reason`.
    """
    record_groups(lake, labeled.where("reason IS NULL"))
    grouped = with_groups(lake, labeled)
    return grouped.withColumn("split", F.coalesce("group_split", "split")).drop("group_split")


def _count(members: DataFrame) -> tuple[dict[int, dict[SplitName, int]], Amount]:
    """Return the number of images by class id and split, and their total.

    Raises:
        InputError: A split is empty.
    """
    counts: dict[int, dict[SplitName, int]] = {}
    total = Amount()
    for row in members.groupBy("label", "split").agg(*amounts()).collect():
        counts.setdefault(row["label"], {})[SplitName(row["split"])] = row["images"]
        total += Amount.of(row)
    for name in SplitName:
        if not any(by_split.get(name) for by_split in counts.values()):
            raise InputError(
                f"lake: the {name} split of the {total.images} labeled images is empty. Ingest or label more images."
            )
    return counts, total


def _hash_members(members: DataFrame, split: Split) -> str:
    """Return a hash of the members that does not depend on their order.

    It sums two 60-bit numbers of each row's hash, because sums do not need sorted rows.
    """
    row_hash = F.sha2(F.to_json(F.struct("path", "content_sha256", "label", "label_source", "split")), 256)
    hash_sums = [F.sum(F.conv(F.substring(row_hash, start, 15), 16, 10).cast("decimal(38,0)")) for start in (1, 16)]
    sums = members.select(F.count("*"), *hash_sums).first()
    return hashlib.sha256(repr((tuple(map(str, sums)), split)).encode()).hexdigest()[:16]


def _write_members(members: DataFrame, target: str, count: int) -> None:
    columns = ("path", "content_sha256", "label", "label_source", "split", "segment", "row")
    (
        members.select(*columns)
        .repartitionByRange(1 + count // _MEMBERS_PER_FILE, "segment", "row")
        .sortWithinPartitions("segment", "row")
        .write.mode("overwrite")
        .parquet(uri.join(target, MEMBERS))
    )


def _manifest(
    lake: Lake,
    training_set_id: str,
    target: str,
    placement: Placement,
    counts: Mapping[int, Mapping[SplitName, int]],
    left_out: Mapping[str, Amount],
    versions: dict[str, int],
) -> TrainingSet:
    classes = lake.classes(versions[CLASSES.name])
    return TrainingSet(
        id=training_set_id,
        uri=target,
        segments_uri=uri.join(lake.root, SEGMENTS_FOLDER),
        classes=[
            ImageClass(index=index, label=label, name=classes.names.get(label, str(label)))
            for index, label in enumerate(sorted(counts))
        ],
        counts={name: sum(by_split.get(name, 0) for by_split in counts.values()) for name in SplitName},
        segments=placement.segments,
        table_versions=versions,
        validation_fraction=lake.split.validation,
        test_fraction=lake.split.test,
        split_seed=lake.split.seed,
        left_out={reason: amount.images for reason, amount in left_out.items()},
        merged={label: end for label, end in classes.merges.items() if end is not None},
    )

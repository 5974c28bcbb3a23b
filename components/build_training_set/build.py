"""Split the lake's labeled images, and freeze them as Parquet files."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic

from pyspark import StorageLevel
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from components.build_training_set.split_folders import write_split_folders
from components.errors import InputError
from components.lake import Lake, Split
from components.lake.class_merges import read_merges
from components.lake.content import read_content
from components.lake.tables import CLASSES, FILES, LABELS
from components.settings import Settings
from components.spark.session import spark_session
from components.storage import uri
from components.training_set.manifest import MANIFEST, MEMBERS, ImageClass, SplitName, TrainingSet
from components.training_set.membership import labeled_images

_ONE_ROW_GROUP = 2**31 - 1
# A file is one row group, which both its writer and its reader hold in memory.
_FILE_BYTES = 128 * 2**20


@dataclass(frozen=True)
class BuildResult:
    """A training set with its counts.

    Attributes:
        training_set: Manifest of the training set.
        counts: Number of images by class id and split.
        seconds: Duration of the build in seconds.
    """

    training_set: TrainingSet
    counts: dict[int, dict[SplitName, int]]
    seconds: float


def build(settings: Settings, file_count: int) -> BuildResult:
    """Freeze the lake's labeled images into a training set.

    Args:
        settings: Settings of the lake.
        file_count: Number of Parquet files in each split, at least one per rank. Fewer images give fewer files. If a
            file would exceed 128 MiB, the split has a multiple of this number.

    Raises:
        InputError: `file_count` is less than 1, or a split is empty.
    """
    if file_count < 1:
        raise InputError(f"files: {file_count} is less than 1. Use at least one per rank.")
    return build_training_set(Lake.open(spark_session(settings), settings), file_count)


def build_training_set(lake: Lake, file_count: int) -> BuildResult:
    """Freeze the labeled images of an open lake into a training set. Idempotent.

    Args:
        lake: The lake.
        file_count: Number of Parquet files in each split; see `build`.

    Raises:
        InputError: A split is empty.
    """
    started = monotonic()
    versions = {table.name: lake.version(table) for table in (FILES, LABELS, CLASSES)}
    labeled = labeled_images(lake, versions).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        left_out = {
            row["reason"]: row["count"]
            for row in labeled.where("reason IS NOT NULL").groupBy("reason").count().collect()
        }
        members = _add_split(labeled.where("reason IS NULL").drop("reason"), lake.split)
        counts = _count(members)
        totals = {name: sum(by_split.get(name, 0) for by_split in counts.values()) for name in SplitName}
        for name, count in totals.items():
            if count == 0:
                raise InputError(
                    f"lake: the {name} split of the {sum(totals.values())} labeled images is empty."
                    " Ingest or label more images."
                )
        print(f"progress: {sum(totals.values()):,} images", flush=True)
        training_set_id = _hash_members(members, lake.split, file_count)
        target = uri.join(lake.root, "training_sets", training_set_id)
        with lake.writer(f"training_set-{training_set_id}"):
            if not lake.files.exists(uri.join(target, MANIFEST)):
                file_names = _write_files(lake, members, target, file_count, totals)
                classes = lake.read(CLASSES, versions[CLASSES.name])
                names = {row["label"]: row["name"] for row in classes.collect()}
                training_set = TrainingSet(
                    id=training_set_id,
                    uri=target,
                    classes=[
                        ImageClass(index=index, label=label, name=names.get(label) or str(label))
                        for index, label in enumerate(sorted(counts))
                    ],
                    counts=totals,
                    files=file_names,
                    table_versions=versions,
                    validation_fraction=lake.split.validation,
                    test_fraction=lake.split.test,
                    split_seed=lake.split.seed,
                    left_out=left_out,
                    merged={label: end for label, end in read_merges(classes).items() if end is not None},
                )
                # The manifest is the commit: without it, the next run rewrites the folder.
                lake.files.write_text(uri.join(target, MANIFEST), training_set.model_dump_json(indent=2))
        training_set = TrainingSet.model_validate_json(lake.files.read_text(uri.join(target, MANIFEST)))
        return BuildResult(training_set, counts, monotonic() - started)
    finally:
        labeled.unpersist()


def _add_split(members: DataFrame, split: Split) -> DataFrame:
    """Add the split and the sort key `order`.

    Both depend on the content only, so an image never changes its split.
    """
    order = F.sha2(F.concat(F.lit(f"{split.seed}:"), "content_sha256"), 256)
    position = F.conv(F.substring(order, 1, 8), 16, 10).cast("double") / 2**32
    name = (
        F.when(position < split.test, SplitName.TEST.value)
        .when(position < split.test + split.validation, SplitName.VALIDATION.value)
        .otherwise(SplitName.TRAIN.value)
    )
    return members.withColumn("split", name).withColumn("order", F.reverse(order))


def _count(members: DataFrame) -> dict[int, dict[SplitName, int]]:
    counts: dict[int, dict[SplitName, int]] = {}
    for row in members.groupBy("label", "split").count().collect():
        counts.setdefault(row["label"], {})[SplitName(row["split"])] = row["count"]
    return counts


def _hash_members(members: DataFrame, split: Split, file_count: int) -> str:
    """Return a hash of the members that does not depend on their order.

    It sums two 60-bit numbers of each row's hash, because sums do not need sorted rows.
    """
    row_hash = F.sha2(F.to_json(F.struct("path", "content_sha256", "label", "label_source", "split")), 256)
    hash_sums = [F.sum(F.conv(F.substring(row_hash, start, 15), 16, 10).cast("decimal(38,0)")) for start in (1, 16)]
    sums = members.select(F.count("*"), *hash_sums).first()
    return hashlib.sha256(repr((tuple(map(str, sums)), split, file_count)).encode()).hexdigest()[:16]


def _write_files(
    lake: Lake,
    members: DataFrame,
    target: str,
    file_count: int,
    totals: dict[SplitName, int],
) -> dict[SplitName, list[str]]:
    """Write the members and the files of each split, and return the file names.

    Spark reads the row groups that hold members, once for all splits, and shuffles only the members' content.
    """
    members.select("path", "content_sha256", "label", "label_source", "split").coalesce(1).write.mode(
        "overwrite"
    ).parquet(uri.join(target, MEMBERS))
    lengths = members.groupBy("split").agg(F.sum("length").alias("bytes"))
    split_bytes = {row["split"]: row["bytes"] for row in lengths.collect()}
    file_counts = {
        # A multiple, so that ranks still get equal numbers of files.
        name: min(file_count * math.ceil(split_bytes[name.value] / (file_count * _FILE_BYTES)), total)
        for name, total in totals.items()
    }
    placed = _assign_files(members, totals, file_counts).select(
        "path", "content_sha256", "load_date", "ingested_at", "label", "split", "order", "file"
    )
    rows = (
        read_content(lake, placed)
        .repartitionById(sum(file_counts.values()), "file")
        .sortWithinPartitions("split", "order")
        .select("path", "content", "label", "split")
    )
    write_split_folders(lake.spark, rows.write.option("parquet.block.size", _ONE_ROW_GROUP), target)
    return {
        # Spark numbers files by partition, so sorted names are in hash order.
        name: [
            f"{name.value}/{file}"
            for file in lake.files.list_names(uri.join(target, name.value))
            if file.endswith(".parquet")
        ]
        for name in totals
    }


def _assign_files(
    members: DataFrame, totals: Mapping[SplitName, int], file_counts: Mapping[SplitName, int]
) -> DataFrame:
    """Add the number of each member's file, from 0 over all splits.

    The members of a split fill its files in hash order.
    """
    # 5 million rows times 2,000 files exceed an int.
    row = F.row_number().over(Window.partitionBy("split").orderBy("order")).cast("bigint") - 1
    number = F.lit(None)
    first = 0
    for name, count in file_counts.items():
        in_split = F.floor(row * count / F.lit(totals[name])) + first
        number = F.when(F.col("split") == name.value, in_split).otherwise(number)
        first += count
    return members.withColumn("file", number.cast("int"))

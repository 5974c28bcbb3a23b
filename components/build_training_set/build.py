"""Build a training set: the labelled images of the lake, divided and frozen as Parquet files."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic

from pyspark import StorageLevel
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from components.build_training_set.training_set import MANIFEST, MEMBERS, ImageClass, SplitName, TrainingSet
from components.errors import InputError
from components.lake import Lake, Split, spark_session
from components.lake.tables import CLASSES, IMAGES, LABELS
from components.settings import Settings
from components.storage import files, uri

CONFLICTING = "one content with different labels"
DUPLICATE = "the same content at another path"
_ONE_ROW_GROUP = 2**31 - 1
# A file is one row group, which its writer and its reader hold in memory.
_FILE_BYTES = 128 * 2**20


@dataclass(frozen=True)
class BuildResult:
    """A training set, and how it came about.

    Attributes:
        training_set: Its manifest.
        counts: Images by class label and split.
        seconds: How long it took.
    """

    training_set: TrainingSet
    counts: dict[int, dict[SplitName, int]]
    seconds: float


def build(settings: Settings, file_count: int) -> BuildResult:
    """Freeze the lake's labelled images into a training set.

    Args:
        settings: Names the lake.
        file_count: Parquet files in each split; ranks share them. There are fewer if there are fewer images, and a
            multiple if a file would be larger than 128 MiB.

    Raises:
        InputError: There are too few labelled images for three splits.
    """
    if file_count < 1:
        raise InputError(f"files: {file_count} is less than 1. Give at least as many as there will be ranks.")
    return build_training_set(Lake.open(spark_session(settings), settings), file_count)


def build_training_set(lake: Lake, file_count: int) -> BuildResult:
    """Do what `build` does, in a session that is there already."""
    started = monotonic()
    versions = {table.name: lake.version(table) for table in (IMAGES, LABELS, CLASSES)}
    judged = labelled_images(lake, versions).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        left_out = {
            row["reason"]: row["count"]
            for row in judged.where("reason IS NOT NULL").groupBy("reason").count().collect()
        }
        members = _divide(judged.where("reason IS NULL").drop("reason"), lake.split)
        counts = _count(members)
        totals = {name: sum(by_split.get(name, 0) for by_split in counts.values()) for name in SplitName}
        for name, count in totals.items():
            if count == 0:
                raise InputError(
                    f"lake: its {sum(totals.values())} labelled images leave none for the {name} split."
                    " Ingest more of them."
                )
        print(f"progress: {sum(totals.values()):,} images", flush=True)
        identity = _identity(members, lake.split, file_count)
        target = uri.join(lake.root, "training_sets", identity)
        with lake.writer(f"training_set-{identity}"):
            if not files.exists(uri.join(target, MANIFEST)):
                written = _write(lake, members, versions, target, file_count, totals)
                names = {row["label"]: row["name"] for row in lake.read(CLASSES, versions[CLASSES.name]).collect()}
                training_set = TrainingSet(
                    id=identity,
                    uri=target,
                    classes=[
                        ImageClass(index=index, label=label, name=names.get(label) or str(label))
                        for index, label in enumerate(sorted(counts))
                    ],
                    counts=totals,
                    files=written,
                    table_versions=versions,
                    validation_fraction=lake.split.validation,
                    test_fraction=lake.split.test,
                    split_seed=lake.split.seed,
                    left_out=left_out,
                )
                # The manifest is the commit: without it, the next run writes the folder anew.
                files.write_text(uri.join(target, MANIFEST), training_set.model_dump_json(indent=2))
        training_set = TrainingSet.model_validate_json(files.read_text(uri.join(target, MANIFEST)))
        return BuildResult(training_set, counts, monotonic() - started)
    finally:
        judged.unpersist()


def labelled_images(lake: Lake, versions: Mapping[str, int] | None = None) -> DataFrame:
    """Return the labelled images of the lake; a person's label beats the folder's.

    Args:
        lake: The lake.
        versions: Version of each table to read, by name; the newest ones if None.

    Returns:
        Frame of path, content_sha256, label, label_source and reason: why the image is no member of a training set,
        null if it is one.
    """
    return _judge(_labelled(lake, versions or {}))


def _labelled(lake: Lake, versions: Mapping[str, int]) -> DataFrame:
    images = lake.read(IMAGES, versions.get(IMAGES.name)).select(
        "path", "content_sha256", F.col("label").alias("folder_label")
    )
    people = lake.read(LABELS, versions.get(LABELS.name)).select("path", F.col("label").alias("person_label"), "source")
    replaced = (
        lake.read(CLASSES, versions.get(CLASSES.name))
        .where("replaced_by IS NOT NULL")
        .select(F.col("label").alias("old_label"), "replaced_by")
    )
    return (
        images.join(people, "path", "left")
        .withColumn("given_label", F.coalesce("person_label", "folder_label"))
        .where("given_label IS NOT NULL")
        .join(F.broadcast(replaced), F.col("given_label") == F.col("old_label"), "left")
        .select(
            "path",
            "content_sha256",
            F.coalesce("replaced_by", "given_label").alias("label"),
            F.when(F.col("person_label").isNotNull(), F.col("source")).otherwise(F.lit("folder")).alias("label_source"),
        )
    )


def _judge(labelled: DataFrame) -> DataFrame:
    """Add the reason why an image is left out, or null."""
    same_content = Window.partitionBy("content_sha256")
    return (
        labelled.withColumn("_labels", F.size(F.collect_set("label").over(same_content)))
        .withColumn("_copy", F.row_number().over(same_content.orderBy("path")))
        .withColumn("reason", F.when(F.col("_labels") > 1, CONFLICTING).when(F.col("_copy") > 1, DUPLICATE))
        .drop("_labels", "_copy")
    )


def _divide(members: DataFrame, split: Split) -> DataFrame:
    """Add the split and the hash that orders rows. Both depend on the content only, so an image never changes side."""
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


def _identity(members: DataFrame, split: Split, file_count: int) -> str:
    """Return a hash of the set of members, whatever their order: sums of two parts of each row's hash."""
    row_hash = F.sha2(F.to_json(F.struct("path", "content_sha256", "label", "label_source", "split")), 256)
    parts = [F.sum(F.conv(F.substring(row_hash, start, 15), 16, 10).cast("decimal(38,0)")) for start in (1, 16)]
    sums = members.select(F.count("*"), *parts).first()
    return hashlib.sha256(repr((tuple(map(str, sums)), split, file_count)).encode()).hexdigest()[:16]


def _write(
    lake: Lake,
    members: DataFrame,
    versions: dict[str, int],
    target: str,
    file_count: int,
    totals: dict[SplitName, int],
) -> dict[SplitName, list[str]]:
    members.select("path", "content_sha256", "label", "label_source", "split").coalesce(1).write.mode(
        "overwrite"
    ).parquet(uri.join(target, MEMBERS))
    images = lake.read(IMAGES, versions[IMAGES.name])
    content = images.select("path", "content")
    lengths = members.join(images.select("path", "length"), "path").groupBy("split").agg(F.sum("length").alias("bytes"))
    bytes_by_split = {row["split"]: row["bytes"] for row in lengths.collect()}
    written = {}
    for name, total in totals.items():
        # A multiple, so that ranks that share the files evenly go on doing so.
        used = min(file_count * math.ceil(bytes_by_split[name.value] / (file_count * _FILE_BYTES)), total)
        row = F.row_number().over(Window.orderBy("order")) - 1
        placed = members.where(F.col("split") == name.value).withColumn(
            "file", F.floor(row * used / F.lit(total)).cast("int")
        )
        folder = uri.join(target, name.value)
        (
            placed.join(content, "path")
            .repartitionById(used, "file")
            .sortWithinPartitions("order")
            .select("path", "content", "label")
            .write.option("parquet.block.size", _ONE_ROW_GROUP)
            .mode("overwrite")
            .parquet(folder)
        )
        # Spark names files by partition, so their names are in hash order.
        written[name] = [f"{name.value}/{file}" for file in files.list_names(folder) if file.endswith(".parquet")]
    return written

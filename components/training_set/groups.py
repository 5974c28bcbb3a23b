"""Record perceptual hash and split of labeled images, so that near-duplicates are in one split.

The table `groups` has a row for each content that a build of a training set has found labeled. Rows never change. A
content that has no row gets one from its hash and from the rows before it. See `near_duplicates` for the rule.
"""

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import lru_cache
from itertools import pairwise
from math import ceil
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from components.child_process import ChildDied, ChildProcess
from components.lake import Lake
from components.lake.content import map_content
from components.lake.tables import GROUPS
from components.spark.frames import frame, persist
from components.spark.memory_budget import decoding_bytes
from components.storage import uri
from components.training_set.features import TRAINING_SETS_FOLDER
from components.training_set.manifest import MEMBERS, SplitName
from components.training_set.members import read_members
from components.training_set.near_duplicates import (
    LEFT_OUT,
    TEST,
    TRAIN,
    VALIDATION,
    assign_splits,
)
from components.training_set.near_hashes import join_near

# Values of `groups.reason`, which manifests store too.
NEAR_TWO_SPLITS = "near-duplicates in two splits"
NEAR_LOWER_SPLIT = "near-duplicate of an image for training or validation"

_CODES = {SplitName.TRAIN: TRAIN, SplitName.VALIDATION: VALIDATION, SplitName.TEST: TEST}
_NAMES = {code: name for name, code in _CODES.items()}
_BITS = {name: 1 << code for name, code in _CODES.items()}
_NEW = ("path", "content_sha256", "load_date", "ingested_at", "split")
_HASHED = "content_sha256 STRING, split STRING, perceptual_hash BIGINT"
# Images of a commit, which are what a killed build repeats: up to a quarter of an hour of work. Each slice reads row
# groups of `images` that other slices read too, so small slices would read them often.
_IMAGES_PER_COMMIT = 2**18
_IMAGES_PER_CORE = 2**16
# Each slice goes through all of `groups`.
_MOST_COMMITS = 8
# Ingest accepts pictures of at most as many.
_PIXELS = 100_000_000
_SECONDS_PER_IMAGE = 60.0


def record_groups(lake: Lake, members: DataFrame, images_per_commit: int = 0) -> int:
    """Record perceptual hash and split of members whose content has none. Idempotent.

    It reads the content of these members, once. They are recorded in slices in the order of their content hashes, so
    the slices do not change a split, and a killed build goes on after its last commit.

    Args:
        lake: The lake.
        members: Frame of path, content_sha256, load_date, ingested_at and split (by a hash of the content), each
            content once. It is evaluated twice: persist it unless it is cheap.
        images_per_commit: About as many contents are recorded by one commit; 0 chooses it by the number of cores.

    Returns:
        The number of new rows.
    """
    with ExitStack() as cached:
        # Spark would drop the frames below from its cache with each commit if the version were open.
        recorded = lake.read(GROUPS, lake.version(GROUPS))
        new = persist(_without_row(members.select(*_NEW), recorded), cached)
        count = int(new.count())
        if not count:
            return 0
        print(f"progress: perceptual hashes of {count:,} images", flush=True)
        earlier = _earlier_members(lake) if recorded.isEmpty() else None
        if earlier is not None:
            # By one commit: which of them are left out depends on all of them.
            trained = persist(new.join(earlier, "content_sha256", "left_semi"), cached)
            _record(lake, trained, is_trained=True)
            new = persist(new.join(earlier, "content_sha256", "left_anti"), cached)
        cores = lake.spark.sparkContext.defaultParallelism
        size = images_per_commit or max(_IMAGES_PER_COMMIT, _IMAGES_PER_CORE * cores, ceil(count / _MOST_COMMITS))
        for images in _slices(new, ceil(count / size)):
            _record(lake, images, is_trained=False)
        return count


def with_groups(lake: Lake, labeled: DataFrame) -> DataFrame:
    """Add the recorded splits to labeled images, and the reasons why near-duplicates are left out.

    Args:
        lake: The lake.
        labeled: Frame with content_sha256 and reason.

    Returns:
        The frame with `group_split`, which is null for contents without a row and for those that are left out.
    """
    groups = lake.read(GROUPS).select(
        "content_sha256", F.col("split").alias("group_split"), F.col("reason").alias("_group_reason")
    )
    joined = labeled.join(groups, "content_sha256", "left")
    return joined.withColumn("reason", F.coalesce("reason", "_group_reason")).drop("_group_reason")


def _without_row(images: DataFrame, recorded: DataFrame) -> DataFrame:
    return images.join(recorded.select("content_sha256"), "content_sha256", "left_anti")


def _slices(images: DataFrame, slices: int) -> Iterator[DataFrame]:
    """Yield the images in ranges of their content hashes, ascending. The ranges are equally long."""
    if slices == 1:
        yield images
        return
    starts = [f"{2**32 * number // slices:08x}" for number in range(slices)]
    for start, end in pairwise([*starts, "g"]):
        yield images.where((F.col("content_sha256") >= start) & (F.col("content_sha256") < end))


def _record(lake: Lake, images: DataFrame, *, is_trained: bool) -> None:
    """Append the rows of images by one commit.

    Args:
        lake: The lake.
        images: Images without a row.
        is_trained: Whether models may have been trained with their splits.
    """
    if images.isEmpty():
        return
    with ExitStack() as cached:
        # Before the lock, since it may take hours.
        hashed = persist(map_content(lake, images, _hash_contents, _HASHED), cached)
        hashed.count()
        with lake.writer(GROUPS.name):
            recorded = lake.read(GROUPS)
            # Another build may have recorded some of them meanwhile.
            rows = _without_row(hashed, recorded)
            # Models were trained with these splits, so they stay.
            stays = is_trained and recorded.isEmpty()
            grouped = _leave_higher_splits(rows) if stays else _assign(rows, recorded, cached)
            columns = ("content_sha256", "perceptual_hash", "split", "reason")
            lake.append(GROUPS, grouped.select(*columns, F.lit(datetime.now(UTC)).alias("made_at")))


def _earlier_members(lake: Lake) -> DataFrame | None:
    """Return the contents of training sets that a release without `groups` built; None without any."""
    folder = uri.join(lake.root, TRAINING_SETS_FOLDER)
    members = [uri.join(folder, name, MEMBERS) for name in lake.files.list_names(folder)]
    members = [each for each in members if lake.files.exists(each)]
    return read_members(lake.spark, *members).select("content_sha256").distinct() if members else None


def _leave_higher_splits(trained: DataFrame) -> DataFrame:
    """Leave out the images that are near an image in a lower split. The others keep their split."""
    splits = _split_sets(trained)
    near = join_near(splits.select("perceptual_hash"), splits.withColumnRenamed("perceptual_hash", "near_hash"))
    near = near.groupBy("perceptual_hash").agg(F.bit_or("splits").alias("_near"))
    lower = F.col("_near").bitwiseAND(_look_up(_BITS, "split") - 1)
    leaves = F.coalesce(lower != 0, F.lit(False))
    return (
        trained.join(near, "perceptual_hash", "left")
        .withColumn("reason", F.when(leaves, NEAR_LOWER_SPLIT))
        .withColumn("split", F.when(~leaves, F.col("split")))
    )


def _assign(arrived: DataFrame, older: DataFrame, cached: ExitStack) -> DataFrame:
    """Give new contents the split of near ones, in the order of their content hashes.

    Contents with equal perceptual hashes have one split: that of the first.
    """
    first = arrived.where("perceptual_hash IS NOT NULL").groupBy("perceptual_hash")
    first = first.agg(F.min("content_sha256").alias("_first"), F.min_by("split", "content_sha256").alias("_own"))
    first = persist(first, cached)
    exceptions = frame(arrived.sparkSession, _moved(first, older), "perceptual_hash BIGINT, _near INT")
    return (
        arrived.join(first.drop("_first"), "perceptual_hash", "left")
        .join(F.broadcast(exceptions), "perceptual_hash", "left")
        .withColumn(
            "split", F.when(F.col("_near").isNull(), F.coalesce("_own", "split")).otherwise(_look_up(_NAMES, "_near"))
        )
        .withColumn("reason", F.when(F.col("_near") == LEFT_OUT, NEAR_TWO_SPLITS))
    )


def _moved(first: DataFrame, older: DataFrame) -> Iterator[tuple[int, int]]:
    """Yield the new hashes that do not keep their own split, with their split or `LEFT_OUT`.

    The driver holds only new hashes that are near another one: about 100 bytes each, and 8 bytes for each near pair.
    """
    near = _near_hashes(first, older).sort_by("_first")
    hashes, own = near["perceptual_hash"], near["own"].to_numpy().astype(np.int8)
    earlier = near["earlier"].combine_chunks()
    pairs = np.column_stack((pc.list_parent_indices(earlier), pc.index_in(earlier.flatten(), value_set=hashes)))
    splits = assign_splits(own, near["older"].to_numpy().astype(np.uint8), pairs.astype(np.int64))
    is_moved = splits != own
    return zip(hashes.to_numpy()[is_moved].tolist(), splits[is_moved].tolist(), strict=True)


def _near_hashes(first: DataFrame, older: DataFrame) -> pa.Table:
    """Return the new hashes that are near another new or an older one.

    Args:
        first: New hashes as perceptual_hash, each once, with `_first`, their first content, and `_own`, its split.
        older: Earlier rows of `groups`.

    Returns:
        Table of perceptual_hash, `_first`, `own` (the number of the split), `older` (the set of splits of near older
        images) and `earlier` (near new hashes with a lower `_first`).
    """
    unknown = F.lit(None)
    right = _split_sets(older).withColumn("_near_first", unknown.cast("string"))
    right = right.unionByName(
        first.select("perceptual_hash", unknown.cast("int").alias("splits"), F.col("_first").alias("_near_first"))
    )
    pairs = join_near(first, right.withColumnRenamed("perceptual_hash", "near_hash"))
    is_itself = F.col("_near_first").eqNullSafe(F.col("_first"))
    precedes = F.col("_near_first") < F.col("_first")
    return (
        pairs.where(~is_itself)
        .groupBy("perceptual_hash", "_first", _look_up(_CODES, "_own").alias("own"))
        .agg(
            F.coalesce(F.bit_or("splits"), F.lit(0)).alias("older"),
            F.collect_set(F.when(precedes, F.col("near_hash"))).alias("earlier"),
        )
        .toArrow()
    )


def _split_sets(images: DataFrame) -> DataFrame:
    """Return the perceptual hashes of images that have one and a split, with `splits`, the set of their splits."""
    return (
        images.where("perceptual_hash IS NOT NULL AND split IS NOT NULL")
        .groupBy("perceptual_hash")
        .agg(F.bit_or(_look_up(_BITS, "split")).alias("splits"))
    )


def _look_up(values: Mapping[Any, Any], column: str) -> Column:
    """Return the value for a column's key; null if there is none."""
    return F.create_map(*(F.lit(each) for pair in values.items() for each in pair))[F.col(column)]


def _hash_contents(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Replace the content of images by its perceptual hash, in a Python worker of Spark."""
    hasher = _hasher()
    # Forked before the threads of this process start.
    hasher.start()
    for batch in batches:
        hashes = [_hash(hasher, content.as_py()) for content in batch["content"]]
        columns = [batch["content_sha256"], batch["split"], pa.array(hashes, pa.int64())]
        yield pa.RecordBatch.from_arrays(columns, ["content_sha256", "split", "perceptual_hash"])


@lru_cache(maxsize=1)
def _hasher() -> ChildProcess[bytes, int | None]:
    return ChildProcess(_start, decoding_bytes(_PIXELS), _SECONDS_PER_IMAGE)


def _start() -> Callable[[bytes], int | None]:
    from PIL import Image

    from components.preprocessing.perceptual_hash import perceptual_hash

    probe = io.BytesIO()
    Image.effect_noise((64, 64), 100).save(probe, "PNG")
    perceptual_hash(probe.getvalue())
    return perceptual_hash


def _hash(hasher: ChildProcess[bytes, int | None], content: bytes) -> int | None:
    try:
        return hasher.call(content)
    except ChildDied:
        # Like a flat picture, it is not grouped.
        return None

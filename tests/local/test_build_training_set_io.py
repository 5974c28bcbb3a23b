"""Bytes that building a training set moves: only row groups with new members are read, and only those are shuffled."""

from datetime import UTC, datetime
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import pytest

from components.build_training_set.build import BuildResult, build_training_set
from components.lake import Lake
from components.training_set.manifest import SplitName
from tests.support.lake_rows import append_images
from tests.support.spark_io import SparkIO

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_IMAGE_BYTES = 100_000
_LABELED = 40
_UNLABELED = 600
_ROWS_PER_GROUP = 5
_MEGABYTE = 2**20
# New content is read for its perceptual hash, by a Python worker and its child, and for its segment. On the way to the
# segment, it passes from a Python worker to the JVM, through the files of a shuffle, which join several in a second
# pass, and to a Python worker.
_READ = 7
_WRITTEN = 6
_NUMBERS = count()


@pytest.fixture(scope="module")
def wide_lake(spark: "SparkSession", tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake of 60 MB without labels and 16 MB with labels, built from: what Spark loads only once is loaded."""
    lake = Lake(spark, str(tmp_path_factory.mktemp("wide") / "lake"))
    lake.create()
    _insert(lake, 4 * _LABELED, label=1)
    _insert(lake, _UNLABELED, label=None)
    build_training_set(lake)
    return lake


def _insert(lake: Lake, images: int, label: int | None, size: int = _IMAGE_BYTES) -> None:
    """Insert images with neighboring paths, as in a landing folder of their own.

    Args:
        lake: The lake.
        images: Number of images.
        label: Their class; None for none.
        size: Bytes of an image.
    """
    number = next(_NUMBERS)
    random = np.random.default_rng(number)
    rows = [(f"file:/{number}/{image:03}.jpg", random.bytes(size), label) for image in range(images)]
    append_images(lake, rows, ingested_at=datetime(2026, 5, 1, tzinfo=UTC), row_group_rows=_ROWS_PER_GROUP)


def _build(lake: Lake, size: int) -> tuple[BuildResult, SparkIO]:
    """Build after `_LABELED` new images of a size, and return the bytes moved meanwhile."""
    _insert(lake, _LABELED, label=2, size=size)
    before = SparkIO.now(lake.spark)
    result = build_training_set(lake)
    return result, SparkIO.now(lake.spark) - before


@pytest.fixture(
    scope="module",
    params=[("10MB", "false"), ("-1", "true")],
    ids=["small tables are broadcast", "none is, adaptive plans"],
)
def build(wide_lake: Lake, request: pytest.FixtureRequest) -> tuple[BuildResult, SparkIO]:
    """A build after new labels, and the bytes that their content moved, for each of Spark's plans.

    A build of as many tiny images moves what is not content: narrow columns, footers and logs.
    """
    settings = wide_lake.spark.conf
    names = ("spark.sql.autoBroadcastJoinThreshold", "spark.sql.adaptive.enabled")
    previous = [settings.get(name) for name in names]
    for name, value in zip(names, request.param, strict=True):
        settings.set(name, value)
    _, narrow = _build(wide_lake, size=16)
    result, moved = _build(wide_lake, _IMAGE_BYTES)
    for name, value in zip(names, previous, strict=True):
        settings.set(name, value)
    return result, moved - narrow


def test_build_reads_shuffles_and_writes_the_content_of_new_members_only(build: tuple[BuildResult, SparkIO]) -> None:
    result, moved = build
    new = _LABELED * _IMAGE_BYTES

    assert (result.added.images, result.added.bytes) == (_LABELED, new)
    # Other members have 4 times as many bytes, and the rest of the lake 15 times.
    assert result.reused.images >= 4 * _LABELED
    assert new < moved.read < (_READ + 1) * new, moved
    assert new < moved.shuffled < 1.2 * new + _MEGABYTE, moved
    assert new < moved.written < (_WRITTEN + 1) * new, moved


def test_rows_are_in_hash_order_for_any_spark_plan(build: tuple[BuildResult, SparkIO]) -> None:
    training_set = build[0].training_set

    for split in SplitName:
        assert sum(each.rows for each in training_set.segments_of(split)) == training_set.counts[split]
    for segment in training_set.segments:
        file = Path(training_set.segment_uri(segment.name).removeprefix("file://"))
        rows = pq.read_table(file, columns=["content_sha256", "content"]).to_pylist()
        assert all(sha256(row["content"]).hexdigest() == row["content_sha256"] for row in rows)
        order = [sha256(f"0:{row['content_sha256']}".encode()).hexdigest()[::-1] for row in rows]
        assert order == sorted(order)

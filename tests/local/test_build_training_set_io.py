"""Bytes that building a training set moves: only row groups with members are read, and only members are shuffled."""

from datetime import UTC, datetime
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import pytest

from components.build_training_set.build import build_training_set
from components.lake import Lake
from components.training_set.manifest import TrainingSet
from tests.support.lake_rows import append_images
from tests.support.spark_io import SparkIO

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_IMAGE_BYTES = 100_000
_MEMBERS = 40
_UNLABELED = 600
_ROWS_PER_GROUP = 5
_MEGABYTE = 2**20
# Bytes of narrow columns, footers, logs and messages between Spark's processes.
_SLACK = 8 * _MEGABYTE
_FILE_COUNTS = count(2)


@pytest.fixture(scope="module")
def wide_lake(spark: "SparkSession", tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake of 64 MB, of which 4 MB are labeled, that was built from once: what Spark loads only once is loaded."""
    lake = Lake(spark, str(tmp_path_factory.mktemp("wide") / "lake"))
    lake.create()
    random = np.random.default_rng(0)
    now = datetime(2026, 5, 1, tzinfo=UTC)
    for start in range(0, _MEMBERS + _UNLABELED, 160):
        images = [
            # The labeled images of a batch have neighboring paths, as in a landing folder of their own.
            (f"file:/{start}/{number:03}.jpg", random.bytes(_IMAGE_BYTES), number % 2 if number < 10 else None)
            for number in range(160)
        ]
        append_images(lake, images, ingested_at=now, row_group_rows=_ROWS_PER_GROUP)
    build_training_set(lake, 1)
    return lake


@pytest.fixture(
    scope="module",
    params=[("10MB", "false"), ("-1", "false"), ("-1", "true")],
    ids=["small tables are broadcast", "none is", "none is, adaptive plans"],
)
def build(wide_lake: Lake, request: pytest.FixtureRequest) -> tuple[TrainingSet, SparkIO]:
    """A training set, and the bytes moved meanwhile: whatever Spark broadcasts by itself, and however it plans."""
    settings = wide_lake.spark.conf
    names = ("spark.sql.autoBroadcastJoinThreshold", "spark.sql.adaptive.enabled")
    previous = [settings.get(name) for name in names]
    for name, value in zip(names, request.param, strict=True):
        settings.set(name, value)
    before = SparkIO.now(wide_lake.spark)
    training_set = build_training_set(wide_lake, next(_FILE_COUNTS)).training_set
    moved = SparkIO.now(wide_lake.spark) - before
    for name, value in zip(names, previous, strict=True):
        settings.set(name, value)
    return training_set, moved


def test_build_reads_and_shuffles_members_only(build: tuple[TrainingSet, SparkIO]) -> None:
    training_set, moved = build
    members = _MEMBERS * _IMAGE_BYTES

    assert sum(training_set.counts.values()) == _MEMBERS
    # Members are read from the lake and from the shuffle's files; the rest of the lake is 15 times as large.
    assert members < moved.read < 4 * members + _SLACK, moved
    assert members < moved.shuffled < 1.2 * members + _MEGABYTE, moved
    assert moved.written < 3 * members + _SLACK, moved


def test_rows_are_in_hash_order_in_equal_files_for_any_spark_plan(build: tuple[TrainingSet, SparkIO]) -> None:
    training_set, _ = build
    folder = Path(training_set.uri.removeprefix("file://"))

    for split, names in training_set.files.items():
        files = [pq.read_table(folder / name)["content"].to_pylist() for name in names]
        rows = [content for file in files for content in file]
        order = [sha256(f"0:{sha256(content).hexdigest()}".encode()).hexdigest()[::-1] for content in rows]
        assert order == sorted(order)
        assert len(rows) == training_set.counts[split]
        assert max(map(len, files)) - min(map(len, files)) <= 1
        assert {Path(name).parent.name for name in names} == {split.value}

"""Content of images is read from exactly the row groups that hold them."""

import hashlib
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession

from components.lake import Lake
from components.lake.content import map_content, read_content
from components.lake.tables import IMAGES
from components.spark.frames import frame
from components.spark.memory_budget import Budget
from tests.support.spark_io import SparkIO

NOON = datetime(2026, 5, 1, 12, 0, 0, 123456, UTC)
IMAGE_BYTES = 20_000
ROWS_PER_GROUP = 16
WANTED = "path STRING, content_sha256 STRING, load_date DATE, ingested_at TIMESTAMP, number INT"

# Path, content and time of ingest of an image.
Image = tuple[str, bytes, datetime]


def images_of(numbers: Sequence[int], ingested_at: datetime, variant: str = "") -> list[Image]:
    return [
        (f"file:/d/{number:04d} ü.jpg", random.Random(f"{number}{variant}").randbytes(IMAGE_BYTES), ingested_at)
        for number in numbers
    ]


def append(lake: Lake, images: Sequence[Image]) -> list[Image]:
    """Append images in one data file, with small row groups."""
    rows = [
        (path, hashlib.sha256(content).hexdigest(), content, None, len(content), at, "JPEG", None, "b", at.date(), at)
        for path, content, at in images
    ]
    hadoop = lake.spark.sparkContext._jsc.hadoopConfiguration()
    names = {"parquet.block.size": ROWS_PER_GROUP * IMAGE_BYTES, "parquet.page.size.row.check.min": 1}
    before = {name: hadoop.get(name) for name in names}
    for name, value in names.items():
        hadoop.set(name, str(value))
    try:
        one_file = frame(lake.spark, rows, IMAGES.columns).coalesce(1)
        one_file.write.format("delta").mode("append").partitionBy("load_date").save(lake.path(IMAGES))
    finally:
        for name, value in before.items():
            hadoop.unset(name) if value is None else hadoop.set(name, value)
    return list(images)


def wanted_of(spark: SparkSession, images: Sequence[Image]) -> DataFrame:
    rows = [
        (path, hashlib.sha256(content).hexdigest(), at.date(), at, number)
        for number, (path, content, at) in enumerate(images)
    ]
    return frame(spark, rows, WANTED)


def assert_reads(lake: Lake, images: Sequence[Image]) -> None:
    rows = read_content(lake, wanted_of(lake.spark, images)).collect()
    found = sorted((row["number"], row["path"], bytes(row["content"])) for row in rows)
    assert found == [(number, path, content) for number, (path, content, _) in enumerate(images)]


@pytest.fixture(scope="module")
def filled(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, list[Image]]:
    """A lake of two days. On the first, two ingests interleave."""
    lake = Lake(spark, str(tmp_path_factory.mktemp("content") / "lake"))
    images: list[Image] = []
    for numbers, hours in ((range(0, 800, 2), 0), (range(1, 800, 2), 1), (range(800, 1200), 24)):
        images += append(lake, images_of(numbers, NOON + timedelta(hours=hours)))
    return lake, images


def test_content_of_few_images_is_read_from_their_row_groups(filled: tuple[Lake, list[Image]]) -> None:
    lake, images = filled
    few = random.Random(1).sample(images, 5)
    # Workers start, and load their modules.
    assert_reads(lake, few)
    before = SparkIO.now(lake.spark)

    assert_reads(lake, few)

    read = (SparkIO.now(lake.spark) - before).read
    row_groups = len(few) * ROWS_PER_GROUP * IMAGE_BYTES
    # Besides the row groups: footers, logs, and the content's way from the worker through the JVM.
    assert read < row_groups + 1_500_000
    assert row_groups + 1_500_000 < len(images) * IMAGE_BYTES / 5


def test_content_of_all_images_is_read(filled: tuple[Lake, list[Image]]) -> None:
    assert_reads(*filled)


def test_content_that_is_not_stored_is_left_out(filled: tuple[Lake, list[Image]]) -> None:
    lake, images = filled
    path, content, ingested_at = images[0]
    other = [(path, b"other content", ingested_at), (path, content, ingested_at + timedelta(days=1))]

    assert read_content(lake, wanted_of(lake.spark, [*other, images[1]])).count() == 1
    assert read_content(lake, wanted_of(lake.spark, [])).count() == 0


def test_each_content_of_a_path_is_read_once_also_after_optimize(spark: SparkSession, tmp_path: Path) -> None:
    lake = Lake(spark, str(tmp_path / "lake"))
    # The first content comes back on the same day, so it has two rows.
    ingests = [
        append(lake, images_of([7, 8], NOON + timedelta(hours=hour), variant))
        for hour, variant in enumerate(("first", "second", "first"))
    ]

    for images in ingests:
        assert_reads(lake, images)
    lake.delta(IMAGES).optimize().executeCompaction()
    for images in [*ingests, list(chain(*ingests))]:
        assert_reads(lake, images)


def test_batches_stay_within_the_budget(filled: tuple[Lake, list[Image]], monkeypatch: pytest.MonkeyPatch) -> None:
    lake, images = filled
    monkeypatch.setattr(Budget, "of", lambda spark: Budget(batch_bytes=3 * IMAGE_BYTES, pixels=1))

    def measure(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield pa.RecordBatch.from_pylist([{"rows": batch.num_rows, "bytes": batch["content"].nbytes}])

    sizes = map_content(lake, wanted_of(lake.spark, images[:50]), measure, "rows LONG, bytes LONG", 1).collect()

    assert sum(row["rows"] for row in sizes) == 50
    assert max(row["bytes"] for row in sizes) <= 3 * IMAGE_BYTES

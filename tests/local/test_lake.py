"""Promises of the lake to all steps that write to it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from components.errors import InputError
from components.ingest_images.ingest import ingest_folder
from components.lake import Lake, Split
from components.lake.row_groups import ROW_GROUP_BYTES
from components.lake.tables import CLASSES, FOLDER, IMAGES, NO_CLASS, PEOPLE, PREDICTIONS, PROMOTIONS
from components.settings import Settings
from components.spark.frames import frame
from tests.support.lake_rows import append_rows
from tests.support.paths import REPOSITORY
from tests.support.scored_lake import NOW

_NOBODY = 65534


@contextmanager
def read_only_lake(spark: SparkSession) -> Iterator[Lake]:
    """Yield a lake in a folder that can't be written to, whose locks are elsewhere."""
    with TemporaryDirectory() as root, TemporaryDirectory() as locks:
        Path(root).chmod(0o555)
        Path(locks).chmod(0o777)
        me = os.geteuid()
        try:
            if me == 0:
                # Root may write to every folder.
                os.seteuid(_NOBODY)
            yield Lake(spark, root, lock=locks)
        finally:
            os.seteuid(me)
            Path(root).chmod(0o755)


def test_read_only_lake_is_named_wherever_its_locks_are(spark: SparkSession) -> None:
    with (
        read_only_lake(spark) as lake,
        pytest.raises(InputError, match=rf"^lake: '{lake.root}' can't be written \(Permission denied\)"),
        lake.writer("images"),
    ):
        pass


def test_read_only_lake_ends_ingest_before_anything_is_written(spark: SparkSession) -> None:
    with TemporaryDirectory() as landing:
        Path(landing, "a.jpg").write_bytes(b"")
        Path(landing).chmod(0o755)
        with read_only_lake(spark) as lake:
            with pytest.raises(InputError, match=rf"^lake: '{lake.root}' can't be written \(Permission denied\)"):
                ingest_folder(lake, Path(landing).as_uri(), labeled=False)
            # The JVM is not held off from it.
            assert list(Path(lake.root.removeprefix("file://")).iterdir()) == []


def test_a_mistyped_uri_is_refused_and_names_the_lake(lake: Lake) -> None:
    root = Path(lake.root.removeprefix("file://"))
    mistyped = root.with_name("lkae")

    for open_lake in (Lake.open_or_create, Lake.open):
        with pytest.raises(InputError, match=rf"^lake: no lake at 'file://{mistyped}'.* '{lake.root}'"):
            open_lake(lake.spark, Settings.load(lake=str(mistyped)))

    assert not mistyped.exists()


def test_a_uri_without_a_lake_is_refused_and_not_written(spark: SparkSession, tmp_path: Path) -> None:
    settings = Settings.load(lake=str(tmp_path / "lake"))

    with pytest.raises(InputError, match=r"^lake: no lake at 'file://.*/lake'\. Check the URI, or run `image"):
        Lake.open(spark, settings)

    assert list(tmp_path.iterdir()) == []


def test_the_command_creates_a_lake(spark: SparkSession, tmp_path: Path) -> None:
    lake = Lake(spark, str(tmp_path / "lake"))

    subprocess.run(
        [sys.executable, "-m", "pipelines", "lake", "create", "--lake", lake.root],
        cwd=REPOSITORY,
        env={**os.environ, "IMAGE_PIPELINES_SPLIT_SEED": "5"},
        check=True,
    )

    assert lake.is_current()
    assert lake.split == Split(seed=5)


def test_an_interrupted_creation_goes_on(lake: Lake) -> None:
    # `images` is the last table.
    shutil.rmtree(lake.path(IMAGES).removeprefix("file://"))
    assert not lake.exists()

    lake.create(Split(seed=3))

    assert lake.is_current()
    assert lake.split == Split(seed=3)


def test_a_lake_gets_a_table_that_it_lacks_when_it_is_opened(lake: Lake) -> None:
    shutil.rmtree(lake.path(PROMOTIONS).removeprefix("file://"))

    Lake.open(lake.spark, Settings.load(lake=lake.root))

    assert lake.read(PROMOTIONS).columns == PROMOTIONS.schema.names


def test_a_lake_with_another_split_is_refused(lake: Lake) -> None:
    with pytest.raises(InputError, match=r"^split: .* can't be changed to Split\(validation=0.1, test=0.1, seed=1\)"):
        Lake.open(lake.spark, Settings.load(lake=lake.root, split_seed=1))


def images_of(lake: Lake, number: int, content_bytes: int) -> DataFrame:
    """Return rows of `images` in the order of their paths, for one day."""
    values = {
        "path": F.concat(F.lit("file:/landing/"), F.lpad("id", 6, "0")),
        "content_sha256": F.sha2(F.col("id").cast("string"), 256),
        "content": F.encode(F.repeat(F.lit("x"), content_bytes), "utf-8"),
        "batch": F.lit("plan"),
        "load_date": F.lit(NOW.date()),
        "ingested_at": F.lit(NOW),
    }
    nothing = {field.name: F.lit(None).cast(field.dataType) for field in IMAGES.schema}
    return lake.spark.range(0, number, 1, 2).select(
        *(column.alias(name) for name, column in (nothing | values).items())
    )


def test_content_is_stored_in_small_row_groups_as_it_is_and_in_order(lake: Lake) -> None:
    lake.append(IMAGES, images_of(lake, 200, 70_000))

    day = Path(lake.path(IMAGES).removeprefix("file://")) / f"load_date={NOW.date()}"
    stored = [pq.ParquetFile(file) for file in sorted(day.glob("*.parquet"))]
    assert len(stored) == 2
    for file in stored:
        paths = file.read(["path"])["path"].to_pylist()
        assert paths == sorted(paths)
        groups = [file.metadata.row_group(index) for index in range(file.metadata.num_row_groups)]
        assert all(group.total_byte_size <= 1.2 * ROW_GROUP_BYTES for group in groups)
        contents = [group.column(file.schema.names.index("content")) for group in groups]
        assert {column.compression for column in contents} == {"UNCOMPRESSED"}
        assert not any("DICTIONARY" in encoding for column in contents for encoding in column.encodings)
        assert not any(column.is_stats_set for column in contents)


def test_an_append_is_not_repeated_under_its_number(lake: Lake) -> None:
    rows = images_of(lake, 2, 1)
    for number in (7, 7, 6, 8):
        lake.append(IMAGES, rows, ("source", number), f"plan {number}")

    assert lake.read(IMAGES).count() == 4
    history = lake.delta(IMAGES).history().where("operation = 'WRITE'").select("userMetadata").collect()
    assert [row["userMetadata"] for row in history] == ["plan 8", "plan 7"]


@pytest.mark.parametrize("has_checksums", [True, False])
def test_last_number_of_an_application_is_known_with_and_without_checksums(lake: Lake, has_checksums: bool) -> None:
    for application, number in (("a", 3), ("b", 5), ("a", 4)):
        lake.append(IMAGES, images_of(lake, 1, 1), (application, number))
    if not has_checksums:
        for checksum in Path(lake.path(IMAGES).removeprefix("file:"), "_delta_log").glob("*.crc"):
            checksum.unlink()
        lake.spark._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()

    assert [lake.last_transaction(IMAGES, each) for each in ("a", "b", "c")] == [4, 5, None]
    assert not lake.is_known_empty(IMAGES)
    assert lake.is_known_empty(PREDICTIONS)


def test_newest_data_files_are_those_of_one_commit(lake: Lake) -> None:
    lake.append(IMAGES, images_of(lake, 1, 1), ("source", 0))
    lake.append(IMAGES, images_of(lake, 2, 1), ("source", 1))

    files = lake.newest_data_files(IMAGES, "source", 1)

    assert files
    assert sum(pq.ParquetFile(file.removeprefix("file:")).metadata.num_rows for file in files) == 2
    assert lake.newest_data_files(IMAGES, "source", 0) is None
    assert lake.newest_data_files(IMAGES, "other", 1) is None


def test_classes_of_a_version_are_read_once(lake: Lake) -> None:
    append_rows(lake, CLASSES, [(1, "cat", None, FOLDER), (2, None, 1, PEOPLE)])
    version, classes = lake.version(CLASSES), lake.classes()

    # Another process, whose commit this lake has to see.
    append_rows(Lake(lake.spark, lake.root), CLASSES, [(3, "dog", NO_CLASS, FOLDER)])

    assert lake.classes(version) is classes
    assert (classes.names, classes.merges) == ({1: "cat"}, {2: 1})
    newest = lake.classes()
    assert (newest.names, newest.merges) == ({1: "cat", 3: "dog"}, {2: 1, 3: None})
    assert lake.classes(version) == classes


def test_merge_reads_only_files_and_partitions_in_the_range_of_its_keys(lake: Lake) -> None:
    for path, digest in (("file:/a.jpg", "d1"), ("file:/b.jpg", "d1"), ("file:/a.jpg", "d2")):
        append_rows(lake, PREDICTIONS, [prediction(path, digest)])
    # Whoever reads a file that is gone fails.
    gone = lake.read(PREDICTIONS).where("path = 'file:/b.jpg' OR model_digest = 'd2'")
    for row in gone.select(F.input_file_name().alias("file")).collect():
        Path(row["file"].removeprefix("file:")).unlink()

    rows = frame(lake.spark, [prediction("file:/a.jpg", "d1"), prediction("file:/aa.jpg", "d1")], PREDICTIONS.columns)

    # Sessions of tests do not skip files, because that takes longer than reading a few rows.
    skipping = "spark.databricks.delta.stats.skipping"
    before = lake.spark.conf.get(skipping)
    lake.spark.conf.set(skipping, "true")
    try:
        assert lake.insert_new(PREDICTIONS, rows) == 1
        assert lake.insert_new(PREDICTIONS, rows.limit(0)) == 0
    finally:
        lake.spark.conf.set(skipping, before)


def prediction(path: str, digest: str, content: str = "sha") -> tuple[Any, ...]:
    return path, content, digest, "model", "1", 7, 0.5, 0.5, 0.5, NOW, None


def test_a_prediction_is_of_a_content_and_a_model(lake: Lake) -> None:
    rows = [prediction("file:/a.jpg", *key) for key in (("d1", "old"), ("d1", "new"), ("d2", "new"))]
    for row in (*rows, *rows):
        lake.insert_new(PREDICTIONS, frame(lake.spark, [row], PREDICTIONS.columns))

    found = lake.read(PREDICTIONS).select("model_digest", "content_sha256").collect()

    assert sorted(map(tuple, found)) == [("d1", "new"), ("d1", "old"), ("d2", "new")]


def test_a_thread_can_take_a_lock_that_it_holds(lake: Lake) -> None:
    waiting = Lake(lake.spark, lake.root, lock_timeout_seconds=0.1)
    with lake.writer(IMAGES.name):
        lake.append(IMAGES, images_of(lake, 1, 1))
        with pytest.raises(TimeoutError, match="'images' of the lake is locked"), waiting.writer(IMAGES.name):
            pass
    with waiting.writer(IMAGES.name):
        assert lake.read(IMAGES).count() == 1

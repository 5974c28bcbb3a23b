"""A lake of release 0.1.0 becomes one of the present schema version."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from components.errors import InputError
from components.lake import TABLES, Lake, Table
from components.lake.properties import SCHEMA_VERSION, VERSION_PROPERTY
from components.lake.tables import (
    ANNOTATIONS,
    CLASSES,
    FILES,
    IMAGES,
    LABELING_REQUESTS,
    LABELS,
    PREDICTIONS,
    UNRECORDED,
)
from components.lake.views import quarantine
from tests.support.earlier_lake import unpack_lake_of_0_1_0
from tests.support.paths import REPOSITORY

COMMAND = (sys.executable, "-m", "pipelines", "lake")
# Columns of a row that release 0.1.0 inserts.
ROWS_OF_0_1_0 = {
    IMAGES: "'file:/new.jpg' path, current_timestamp() modificationTime, 1L length, X'00' content, 'a' content_sha256,"
    " 1 label, current_date() load_date, current_timestamp() ingested_at",
    CLASSES: "2000 label, 'new' name, CAST(NULL AS INT) replaced_by",
    ANNOTATIONS: "'file' service, 'new' annotation_id, 'file:/new.jpg' path, 1 label, 'ann' annotator,"
    " current_timestamp() annotated_at, 'b' batch",
    LABELS: "'file:/new.jpg' path, 1 label, 'file' source, current_timestamp() labeled_at",
    PREDICTIONS: "'file:/new.jpg' path, 'm' model_name, '1' model_version, 1 predicted_label, 0.5F predicted_score,"
    " 0.5F margin, 0.5F entropy, current_timestamp() scored_at, CAST(NULL AS STRING) error",
    LABELING_REQUESTS: "'file:/new.jpg' path, 'b' batch, 'folder' service, 'audit' reason, 'm' model_name,"
    " '1' model_version, 1 predicted_label, 0.5F predicted_score, current_timestamp() requested_at,"
    " CAST(NULL AS STRING) outcome, CAST(NULL AS TIMESTAMP) completed_at",
}


@pytest.fixture(scope="module")
def earlier(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The lake as release 0.1.0 left it."""
    return Lake(spark, str(unpack_lake_of_0_1_0(tmp_path_factory.mktemp("earlier")).lake))


@pytest.fixture(scope="module")
def migrated(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The same lake after its migration."""
    lake = Lake(spark, str(unpack_lake_of_0_1_0(tmp_path_factory.mktemp("migrated")).lake))
    lake.update()
    return lake


def rows_of(frame: DataFrame, *columns: str) -> Counter[tuple[Any, ...]]:
    return Counter(tuple(row) for row in frame.select(*columns).collect())


def old(lake: Lake, name: str) -> DataFrame:
    return lake.spark.read.format("delta").load(f"{lake.root}/{name}")


def versions(lake: Lake) -> dict[str, int]:
    return {table.name: lake.version(table) for table in TABLES}


def tree(lake: Lake) -> dict[str, int]:
    root = Path(lake.root.removeprefix("file://"))
    return {
        str(path.relative_to(root)): path.stat().st_mtime_ns
        for path in root.rglob("*")
        if path.is_file() and "_locks" not in path.parts
    }


def test_migration_keeps_each_image(earlier: Lake, migrated: Lake) -> None:
    before = rows_of(
        old(earlier, "images"), "path", "content_sha256", "content", "length", "load_date", "ingested_at", "label"
    )
    stored = migrated.read(IMAGES).drop("length")
    after = migrated.current_images().join(stored, ["path", "content_sha256", "load_date", "ingested_at"])

    assert sum(before.values()) == 82
    assert before == rows_of(
        after, "path", "content_sha256", "content", "length", "load_date", "ingested_at", "folder_label"
    )
    assert migrated.read(IMAGES).where("content IS NOT NULL").count() == 82


def test_migration_keeps_each_refused_file(earlier: Lake, migrated: Lake) -> None:
    before = old(earlier, "quarantine")
    refused = migrated.read(IMAGES).where("content IS NULL")

    assert rows_of(refused, "path", "source_sha256", "reason", "load_date") == rows_of(
        before, "path", "content_sha256", "reason", "load_date"
    )
    # A path with an image is no quarantined file, though a later content of it was refused.
    images = old(earlier, "images").select("path")
    in_quarantine = before.join(images, "path", "left_anti")
    assert rows_of(quarantine(migrated.read(FILES)), "path", "reason") == rows_of(in_quarantine, "path", "reason")
    assert in_quarantine.count() == before.count() - 1


def test_migration_keeps_labels_and_predictions_with_the_content_they_belong_to(earlier: Lake, migrated: Lake) -> None:
    hashes = old(earlier, "images").select("path", "content_sha256")
    for table in (ANNOTATIONS, LABELS, PREDICTIONS):
        columns = list(old(earlier, table.name).columns)
        before = old(earlier, table.name).join(hashes, "path", "left")
        assert rows_of(migrated.read(table), *columns, "content_sha256") == rows_of(
            before.fillna("", "content_sha256"), *columns, "content_sha256"
        )
    assert rows_of(migrated.read(PREDICTIONS), "model_digest") == {(UNRECORDED,): 54}


def test_migration_converts_outcomes_reasons_and_sources(migrated: Lake) -> None:
    requests = migrated.read(LABELING_REQUESTS)
    assert rows_of(requests, "reason") == {("uncertain",): 17, ("audit",): 15}
    assert rows_of(requests, "outcome") == {(None,): 26, ("labeled",): 4, ("conflicting",): 1, ("skipped",): 1}
    assert rows_of(migrated.read(CLASSES), "name", "replaced_by", "source") == {
        ("cat", None, "folder"): 1,
        ("dog", None, "folder"): 1,
        ("hound", 2, "folder"): 1,
        ("badger", None, "people"): 1,
        ("puppy", 2, "people"): 1,
    }


def test_migration_renames_notes_and_removes_what_nobody_reads(migrated: Lake) -> None:
    root = Path(migrated.root.removeprefix("file://"))

    assert sorted(path.name for path in (root / "_status").glob("*.json")) == [
        "export_for_labeling.json",
        "import_labels.json",
        "ingest_labeled.json",
        "ingest_unlabeled.json",
    ]
    assert not (root / "quarantine").exists()
    assert not (root / "_checkpoints").exists()


def test_a_migrated_lake_has_the_layout_of_a_new_one(migrated: Lake, lake: Lake) -> None:
    def layout(of: Lake, table: Table) -> tuple[Any, ...]:
        detail = of.delta(table).detail().first()
        properties = {k: v for k, v in detail["properties"].items() if not k.startswith("delta.constraints.")}
        return of.read(table).columns, detail["partitionColumns"], detail["clusteringColumns"], properties

    for table in TABLES:
        assert layout(migrated, table) == layout(lake, table), table.name


def test_a_second_migration_does_nothing(migrated: Lake) -> None:
    before = versions(migrated)

    migrated.update()

    assert versions(migrated) == before


def test_a_dry_run_prints_the_cost_and_writes_nothing(earlier: Lake) -> None:
    before = tree(earlier)

    finished = subprocess.run(
        [*COMMAND, "migrate", "--dry-run", "--lake", earlier.root],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )

    rows = 82 + 8 + 5 + 9 + 5 + 54 + 32
    assert f"rewrites {rows} rows, 0.1 MiB. This takes as much free space" in finished.stdout
    assert "Nothing was written." in finished.stdout
    assert tree(earlier) == before


class _Stopped(Exception):  # noqa: N818 - stands for the end of a process
    pass


def stop_before(commit: int) -> Callable[[], None]:
    """Return a check that ends a migration before its commit of this number."""
    checks = iter(range(100))

    def check() -> None:
        if next(checks) == commit:
            raise _Stopped

    return check


@pytest.mark.slow
def test_a_migration_stopped_before_each_commit_goes_on(spark: SparkSession, tmp_path: Path, migrated: Lake) -> None:
    lake = Lake(spark, str(unpack_lake_of_0_1_0(tmp_path).lake))
    left = []
    # Each attempt makes one commit: seven tables, the version.
    for _ in range(7):
        left.append(lake.migration().cost().rows)
        with pytest.raises(_Stopped):
            lake.migration().run(stop_before(1))
        assert lake.require_known_version() == 1

    lake.update()

    assert lake.require_known_version() == SCHEMA_VERSION
    assert left == sorted(left, reverse=True)
    assert versions(lake) == versions(migrated)
    for table in TABLES:
        assert rows_of(lake.read(table), *table.schema.names) == rows_of(
            # Each copy of the lake has its own folder, but the tables do not name it.
            migrated.read(table),
            *table.schema.names,
        )


def test_a_migration_killed_between_two_tables_goes_on(spark: SparkSession, tmp_path: Path, migrated: Lake) -> None:
    lake = Lake(spark, str(unpack_lake_of_0_1_0(tmp_path).lake))
    labels = Path(lake.root.removeprefix("file://"), "labels", "_delta_log")
    entries = len(list(labels.glob("*.json")))
    process = subprocess.Popen(
        [*COMMAND, "migrate", "--lake", lake.root],
        cwd=REPOSITORY,
        env={**os.environ, "IMAGE_PIPELINES_SPARK_MASTER": "local[1]"},
        start_new_session=True,
    )
    try:
        while len(list(labels.glob("*.json"))) == entries:
            assert process.poll() is None
            time.sleep(0.01)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert lake.require_known_version() == 1

    lake.update()

    for table in TABLES:
        assert rows_of(lake.read(table), *table.key) == rows_of(migrated.read(table), *table.key), table.name


def test_a_newer_lake_is_refused(lake: Lake) -> None:
    lake.spark.sql(f"ALTER TABLE delta.`{lake.path(IMAGES)}` SET TBLPROPERTIES ('{VERSION_PROPERTY}' = '3')")

    with pytest.raises(InputError, match=r"^lake: '.*' has schema version 3, but .* up to 2\."):
        lake.update()


@pytest.mark.parametrize("table", ROWS_OF_0_1_0, ids=lambda table: table.name)
@pytest.mark.parametrize("is_migrated", [True, False], ids=["migrated", "new"])
def test_a_table_refuses_rows_of_the_earlier_release(
    migrated: Lake, lake: Lake, table: Table, is_migrated: bool
) -> None:
    target = migrated if is_migrated else lake
    before = target.version(table)
    rows = target.spark.sql(f"SELECT {ROWS_OF_0_1_0[table]}").alias("source")
    merge = target.delta(table).alias("target").merge(rows, F.lit(False))

    with pytest.raises(Exception, match=r"violate|NOT NULL"):
        merge.withSchemaEvolution().whenNotMatchedInsertAll().execute()

    assert target.version(table) == before


def test_dates_of_refused_files_are_kept(migrated: Lake) -> None:
    assert rows_of(quarantine(migrated.read(FILES)), "load_date") == {(date(2026, 11, 29),): 7}

"""Maintenance compacts tables, and removes unneeded data only."""

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from pyspark.sql import SparkSession

from components.build_training_set.build import build_training_set
from components.errors import InputError
from components.lake import Lake
from components.lake.properties import read_properties, table_in_sql
from components.lake.row_groups import ROW_GROUP_BYTES
from components.lake.tables import FILES, GROUPS, IMAGES, PREDICTIONS, PROMOTIONS, SEGMENTS
from components.lake.upkeep import partitions, small_files
from components.lock import LockLost
from components.maintain_lake import maintain
from components.maintain_lake.maintain import MaintenanceResult, maintain_lake
from components.maintain_lake.report import write_report
from components.parameters import MaintenanceFields
from components.registry.model_registry import CHAMPION, ModelRegistry
from components.registry.tags import DIGEST_TAG, TRAINING_SET_URI_TAG
from components.retention.rules import IN_USE, Needed, needed
from components.score_images.state import finish
from components.settings import Settings
from components.storage import uri
from components.training_set.features import FEATURES_FOLDER, TRAINING_SETS_FOLDER
from components.training_set.manifest import MANIFEST, SEGMENTS_FOLDER, TrainingSet
from components.training_set.trainings import REQUEST_FILE, RUNS_FOLDER
from tests.support.kills.separate_reader import read_table
from tests.support.lake_rows import append_rows
from tests.support.scored_lake import digest_of, insert_class, insert_images, insert_predictions, jpeg, succession
from tests.support.tracking import find_or_make_tracking

MODEL = "model"
LATER = datetime.now(UTC) + IN_USE + timedelta(days=1)
# These images have no near-duplicates, because Pillow's flat pictures are not grouped.
IMAGES_OF_A_BUILD = 40


@pytest.fixture
def settings(lake: Lake, tmp_path: Path) -> Settings:
    return Settings.load(lake=lake.root, mlflow_tracking_uri=find_or_make_tracking(tmp_path), model_name=MODEL)


@pytest.fixture
def run(lake: Lake, settings: Settings) -> Callable[..., MaintenanceResult]:
    def run(now: datetime = LATER, **fields: Any) -> MaintenanceResult:
        return maintain_lake(lake, settings, MaintenanceFields(**{"keep_trainings": 1, **fields}), now)

    return run


def add_build(lake: Lake, number: int) -> TrainingSet:
    """Build a training set of images that replace all earlier ones, so that it shares no segment with another one."""
    if not number:
        insert_class(lake, 1, "class 1")
    lake.delta(FILES).delete()
    first = IMAGES_OF_A_BUILD * number
    insert_images(lake, {f"file:/d/{each}.jpg": jpeg(each) for each in range(first, first + IMAGES_OF_A_BUILD)}, 1)
    made = build_training_set(lake).training_set
    # The file system's clock may have seconds only.
    time = datetime.now(UTC).timestamp() - 60 + number
    os.utime(folder(lake, TRAINING_SETS_FOLDER, made.id) / MANIFEST, (time, time))
    return made


@pytest.fixture(scope="module")
def built(spark: SparkSession, empty_lake: Path, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake with three builds for copies, because a build takes seconds."""
    root = tmp_path_factory.mktemp("built") / "lake"
    shutil.copytree(empty_lake, root)
    lake = Lake(spark, str(root))
    for number in range(3):
        add_build(lake, number)
    return lake


@pytest.fixture
def builds(lake: Lake, built: Lake) -> list[TrainingSet]:
    """Copy three builds into the lake, and return them, oldest first."""
    shutil.copytree(folder(built), folder(lake), dirs_exist_ok=True)
    manifests = folder(lake, TRAINING_SETS_FOLDER).glob(f"*/{MANIFEST}")
    oldest_first = sorted(manifests, key=lambda file: file.stat().st_mtime)
    return [
        TrainingSet.read(uri.join(lake.root, TRAINING_SETS_FOLDER, file.parent.name), lake.files)
        for file in oldest_first
    ]


def register(settings: Settings, number: int, training_set: str = "", champion: bool = False) -> None:
    client = MlflowClient(settings.mlflow_tracking_uri, settings.mlflow_tracking_uri)
    if number == 1:
        client.create_registered_model(MODEL)
    tags = {DIGEST_TAG: digest_of(str(number)), TRAINING_SET_URI_TAG: training_set}
    client.create_model_version(MODEL, "file:///nowhere", tags=tags)
    if champion:
        client.set_registered_model_alias(MODEL, CHAMPION, str(number))


def folder(lake: Lake, *names: str) -> Path:
    path = uri.local_path(lake.root)
    assert path is not None
    return path.joinpath(*names)


def existing(lake: Lake, name: str) -> set[str]:
    path = folder(lake, name)
    return {each.name.removesuffix(".parquet") for each in path.iterdir()} if path.exists() else set()


def files_of(lake: Lake) -> dict[str, bytes]:
    """Return all files of a lake but the locks."""
    root = folder(lake)
    return {
        str(each.relative_to(root)): each.read_bytes()
        for each in root.rglob("*")
        if each.is_file() and "_locks" not in each.parts
    }


def test_unneeded_training_sets_and_segments_are_removed(
    lake: Lake, settings: Settings, run: Callable[..., MaintenanceResult], builds: list[TrainingSet]
) -> None:
    first, second, third = builds
    register(settings, 1, first.uri, champion=True)
    register(settings, 2)

    result = run()

    assert existing(lake, TRAINING_SETS_FOLDER) == {first.id, third.id}
    names = {segment.name for each in (first, third) for segment in each.segments}
    assert existing(lake, SEGMENTS_FOLDER) == names
    assert {row["name"] for row in lake.read(SEGMENTS).collect()} == names
    areas = {area.name: area for area in result.areas}
    assert (areas[TRAINING_SETS_FOLDER].removed, areas[TRAINING_SETS_FOLDER].kept) == (1, 2)
    assert areas[SEGMENTS_FOLDER].removed == len(second.segments)
    assert result.after.bytes < result.before.bytes


@pytest.mark.slow
def test_former_champions_keep_their_training_sets_until_they_are_withdrawn(
    lake: Lake, settings: Settings, run: Callable[..., MaintenanceResult], builds: list[TrainingSet]
) -> None:
    first, second, third = builds
    register(settings, 1, first.uri)
    register(settings, 2, second.uri, champion=True)
    register(settings, 3)
    registry = ModelRegistry(settings.mlflow_tracking_uri, MODEL)
    registry.set_champions(["1", "2"])

    run()
    assert existing(lake, TRAINING_SETS_FOLDER) == {first.id, second.id, third.id}

    registry.set_withdrawn(["1"])
    run()
    assert existing(lake, TRAINING_SETS_FOLDER) == {second.id, third.id}


@pytest.mark.slow
def test_a_build_that_finds_an_equal_training_set_marks_it_as_in_use(
    lake: Lake, run: Callable[..., MaintenanceResult]
) -> None:
    made = add_build(lake, 0)
    manifest = folder(lake, TRAINING_SETS_FOLDER, made.id) / MANIFEST
    content = manifest.read_bytes()
    os.utime(manifest, (0, 0))

    build_training_set(lake)

    assert manifest.stat().st_mtime > (datetime.now(UTC) - timedelta(hours=1)).timestamp()
    assert manifest.read_bytes() == content


def test_data_of_a_run_in_progress_stay(
    lake: Lake, run: Callable[..., MaintenanceResult], builds: list[TrainingSet]
) -> None:
    run(now=datetime.now(UTC))

    assert existing(lake, TRAINING_SETS_FOLDER) == {each.id for each in builds}


@pytest.mark.slow
def test_unneeded_trainings_and_features_are_removed(lake: Lake, run: Callable[..., MaintenanceResult]) -> None:
    made = add_build(lake, 0)
    for number, name in enumerate(("older", "newer")):
        request = folder(lake, RUNS_FOLDER, name, REQUEST_FILE)
        request.parent.mkdir(parents=True)
        request.write_text(f'{{"training_set": "{made.uri}"}}')
        os.utime(request, (number, number))
    for segment in (*(each.name for each in made.segments), "unneeded"):
        file = folder(lake, FEATURES_FOLDER, "key", segment, "00000.npy")
        file.parent.mkdir(parents=True)
        file.write_bytes(b"features")

    run()

    assert existing(lake, RUNS_FOLDER) == {"newer"}
    fitted = {segment.name for segment in made.segments if segment.split.value != "test"}
    assert existing(lake, f"{FEATURES_FOLDER}/key") == fitted


@pytest.mark.slow
def test_a_training_that_is_repeated_meanwhile_stays(
    lake: Lake, run: Callable[..., MaintenanceResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, name in enumerate(("older", "newer")):
        request = folder(lake, RUNS_FOLDER, name, REQUEST_FILE)
        request.parent.mkdir(parents=True)
        request.write_text("{}")
        os.utime(request, (number, number))

    def repeat_meanwhile(*arguments: Any) -> Needed:
        decided = needed(*arguments)
        heartbeat = folder(lake, RUNS_FOLDER, "older", "heartbeat")
        heartbeat.write_text("beats")
        os.utime(heartbeat, (LATER.timestamp(), LATER.timestamp()))
        return decided

    monkeypatch.setattr(maintain, "needed", repeat_meanwhile)
    run()

    assert existing(lake, RUNS_FOLDER) == {"older", "newer"}


@pytest.mark.slow
def test_data_stay_if_a_lock_was_lost(
    lake: Lake, builds: list[TrainingSet], run: Callable[..., MaintenanceResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files_of(lake)

    def lose() -> None:
        raise LockLost("the lock was taken over")

    monkeypatch.setattr(lake, "check_held", lose)
    with pytest.raises(LockLost):
        run()
    assert files_of(lake) == before

    for number, name in enumerate(("older", "newer")):
        request = folder(lake, RUNS_FOLDER, name, REQUEST_FILE)
        request.parent.mkdir(parents=True)
        request.write_text("{}")
        os.utime(request, (number, number))
    with pytest.raises(LockLost):
        run()
    assert existing(lake, RUNS_FOLDER) == {"older", "newer"}


def test_nothing_is_removed_if_the_server_has_no_champion_of_a_model(
    lake: Lake, settings: Settings, run: Callable[..., MaintenanceResult], builds: list[TrainingSet]
) -> None:
    register(settings, 1)
    append_rows(lake, PROMOTIONS, [(MODEL, "of another server", "1", datetime.now(UTC), "")])
    before = files_of(lake)

    with pytest.raises(InputError, match=f"mlflow_tracking_uri: the server has no version of '{MODEL}'"):
        run()
    assert files_of(lake) == before

    append_rows(lake, PROMOTIONS, [(MODEL, digest_of("1"), "2", datetime.now(UTC), "")])
    run()
    assert len(existing(lake, TRAINING_SETS_FOLDER)) == 1

    append_rows(lake, PROMOTIONS, [("other", "of another server", "1", datetime.now(UTC), "")])
    with pytest.raises(InputError, match="mlflow_tracking_uri: the server has no version of 'other'"):
        run()


@pytest.mark.slow
def test_training_sets_stay_until_the_first_build_with_near_duplicates_has_read_them(
    lake: Lake, run: Callable[..., MaintenanceResult]
) -> None:
    made = [add_build(lake, number) for number in range(2)]
    lake.delta(GROUPS).delete()

    run()

    assert existing(lake, TRAINING_SETS_FOLDER) == {each.id for each in made}
    assert existing(lake, SEGMENTS_FOLDER) == {segment.name for each in made for segment in each.segments}


@pytest.mark.slow
def test_incomplete_files_of_killed_builds_are_removed_when_no_build_uses_them(
    lake: Lake, run: Callable[..., MaintenanceResult]
) -> None:
    made = add_build(lake, 0)
    names = ".a.parquet.host-1.part", ".b.parquet.host-2.part", "c.parquet"
    old, new, orphan = (folder(lake, SEGMENTS_FOLDER, name) for name in names)
    for file in (old, new, orphan):
        file.write_bytes(b"any")
    os.utime(new, (LATER.timestamp(), LATER.timestamp()))

    result = run()

    assert {each.name for each in (old, new, orphan) if each.exists()} == {new.name}
    assert {segment.name for segment in made.segments} <= existing(lake, SEGMENTS_FOLDER)
    assert {area.name: area.removed for area in result.areas}[SEGMENTS_FOLDER] == 2


@pytest.mark.slow
def test_segments_of_training_sets_stay_although_the_table_lost_their_rows(
    lake: Lake, run: Callable[..., MaintenanceResult]
) -> None:
    before = lake.version(SEGMENTS)
    made = add_build(lake, 0)
    lake.delta(SEGMENTS).restoreToVersion(before)

    run()

    assert existing(lake, SEGMENTS_FOLDER) == {segment.name for segment in made.segments}


@pytest.mark.slow
def test_maintenance_and_builds_at_once_leave_whole_training_sets(lake: Lake, settings: Settings) -> None:
    for number in range(2):
        add_build(lake, number)

    insert_images(lake, {f"file:/d/more-{number}.jpg": jpeg(1000 + number) for number in range(3)}, 1)

    # Lakes of their own, as in tasks of their own: the locks are files.
    def maintain_own(_: int) -> None:
        maintain_lake(Lake(lake.spark.newSession(), lake.root), settings, MaintenanceFields(keep_trainings=1), LATER)

    def build_own(_: int) -> TrainingSet:
        return build_training_set(Lake(lake.spark.newSession(), lake.root)).training_set

    with ThreadPoolExecutor(4) as pool:
        maintained = [pool.submit(maintain_own, number) for number in range(2)]
        built = [pool.submit(build_own, number) for number in range(2)]
        made, again = (each.result() for each in built)
        for each in maintained:
            each.result()

    assert made == again == TrainingSet.read(made.uri, lake.files)
    stored = existing(lake, SEGMENTS_FOLDER)
    assert {segment.name for segment in made.segments} <= stored
    assert {row["name"] for row in lake.read(SEGMENTS).collect()} <= stored


@pytest.mark.slow
def test_predictions_of_old_versions_are_removed_and_others_stay(
    lake: Lake, settings: Settings, run: Callable[..., MaintenanceResult]
) -> None:
    names = {f"file:/d/{number}.jpg": jpeg(number) for number in range(3)}
    insert_images(lake, names)
    for number in (1, 2, 3):
        register(settings, number, champion=number == 2)
        insert_predictions(lake, dict.fromkeys(names, 0.5), version=str(number))
    insert_predictions(lake, dict.fromkeys(names, 0.5), digest="of another registry")
    insert_predictions(lake, dict.fromkeys(names, 0.5), model=None)

    result = run()

    assert partitions(lake, PREDICTIONS) == {digest_of("2"), digest_of("3"), "of another registry", "unrecorded"}
    assert result.digests == {MODEL: {digest_of("1")}}


@pytest.mark.slow
def test_predictions_of_models_that_have_scored_all_images_stay(
    lake: Lake, settings: Settings, run: Callable[..., MaintenanceResult]
) -> None:
    names = {f"file:/d/{number}.jpg": jpeg(number) for number in range(3)}
    insert_images(lake, names)
    for number in (1, 2, 3):
        register(settings, number, champion=number == 2)
        insert_predictions(lake, dict.fromkeys(names, 0.5), version=str(number))
    # As after a rollback of version 1, before the next scoring.
    finish(lake, succession("1"))

    run()
    assert digest_of("1") in partitions(lake, PREDICTIONS)

    finish(lake, succession("2"))
    run()
    assert digest_of("1") not in partitions(lake, PREDICTIONS)


@pytest.mark.slow
def test_predictions_of_a_version_that_is_promoted_meanwhile_stay(
    lake: Lake, settings: Settings, run: Callable[..., MaintenanceResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {f"file:/d/{number}.jpg": jpeg(number) for number in range(3)}
    insert_images(lake, names)
    for number in (1, 2, 3):
        register(settings, number, champion=number == 2)
        insert_predictions(lake, dict.fromkeys(names, 0.5), version=str(number))

    def promote_meanwhile(*arguments: Any) -> set[str]:
        client = MlflowClient(settings.mlflow_tracking_uri, settings.mlflow_tracking_uri)
        client.set_registered_model_alias(MODEL, CHAMPION, "1")
        return partitions(*arguments)

    monkeypatch.setattr(maintain, "partitions", promote_meanwhile)
    run()

    assert digest_of("1") in partitions(lake, PREDICTIONS)


def test_a_finished_day_is_compacted_once_and_keeps_its_rows_and_small_row_groups(
    lake: Lake, run: Callable[..., MaintenanceResult]
) -> None:
    finished = datetime(2026, 5, 1, 12, tzinfo=UTC)
    content = {f"file:/d/{number:03}.jpg": os.urandom(100_000) for number in range(30)}
    for number in range(3):
        batch = dict(list(content.items())[10 * number : 10 * number + 10])
        insert_images(lake, batch, ingested_at=finished + timedelta(minutes=number))
    insert_images(lake, {"file:/e/1.jpg": b"1"})
    insert_images(lake, {"file:/e/2.jpg": b"2"})
    before = Counter(tuple(row) for row in lake.read(IMAGES).drop("content").collect())
    version = lake.version(IMAGES)

    run()

    assert small_files(lake, IMAGES, date(2026, 5, 2)) == []
    assert Counter(tuple(row) for row in lake.read(IMAGES).drop("content").collect()) == before
    stored = {
        row["path"]: bytes(row["content"]) for row in lake.read(IMAGES).where("load_date = '2026-05-01'").collect()
    }
    assert stored == content
    assert lake.version(IMAGES) == version + 1
    (added,) = lake.delta(IMAGES).history(1).collect()
    assert added["operation"] == "OPTIMIZE"
    assert _largest_row_group(lake) <= 2 * ROW_GROUP_BYTES

    run()
    assert lake.version(IMAGES) == version + 1


def _largest_row_group(lake: Lake) -> int:
    """Return the bytes of the largest row group in the newest file of a finished day."""
    import pyarrow.parquet as pq

    newest = max(
        folder(lake, IMAGES.name, "load_date=2026-05-01").glob("*.parquet"), key=lambda file: file.stat().st_mtime
    )
    metadata = pq.read_metadata(newest)
    return max(int(metadata.row_group(number).total_byte_size) for number in range(metadata.num_row_groups))


@pytest.mark.slow
def test_files_that_no_version_needs_are_removed_after_the_retention(
    lake: Lake, run: Callable[..., MaintenanceResult]
) -> None:
    insert_images(lake, {"file:/d/1.jpg": jpeg(1)})
    left = folder(lake, FILES.name, "left-by-a-killed-task.parquet")
    left.write_bytes(b"0" * 1000)
    recent = folder(lake, FILES.name, "just-written.parquet")
    recent.write_bytes(b"0")
    week_ago = (datetime.now(UTC) - timedelta(days=8)).timestamp()
    os.utime(left, (week_ago, week_ago))

    run(retention_days=30)
    assert left.exists()

    dry = {area.name: area for area in run(dry_run=True).areas}[FILES.name]
    assert (dry.before.files - dry.after.files, dry.before.bytes - dry.after.bytes) == (1, 1000)
    assert left.exists()

    run()
    assert not left.exists()
    assert recent.exists()
    assert [row["path"] for row in read_table(lake, FILES)] == ["file:/d/1.jpg"]


@pytest.mark.slow
def test_files_of_earlier_versions_stay_for_the_retention(lake: Lake, run: Callable[..., MaintenanceResult]) -> None:
    insert_images(lake, {"file:/d/1.jpg": jpeg(1)})
    insert_images(lake, {"file:/d/2.jpg": jpeg(2)})
    version = lake.version(FILES)
    removed = min(folder(lake, FILES.name).glob("*.parquet"), key=lambda file: file.stat().st_mtime_ns)
    now = datetime.now(UTC)
    written, deleted = ((now - timedelta(days=days)).timestamp() for days in (20, 10))
    os.utime(removed, (written, written))
    actions: list[dict[str, Any]] = [
        {"commitInfo": {"timestamp": int(1000 * deleted), "operation": "DELETE", "operationParameters": {}}},
        {"remove": {"path": removed.name, "deletionTimestamp": int(1000 * deleted), "dataChange": True}},
    ]
    log = folder(lake, FILES.name, "_delta_log", f"{version + 1:020}.json")
    log.write_text("".join(json.dumps(action) + "\n" for action in actions))

    run(retention_days=30)
    assert removed.exists()
    assert lake.read(FILES, version).count() == 2

    run(retention_days=7)
    assert not removed.exists()
    assert lake.read(FILES).count() == 1


@pytest.mark.slow
def test_a_retention_that_an_operator_set_stays(lake: Lake, run: Callable[..., MaintenanceResult]) -> None:
    name, own = "delta.deletedFileRetentionDuration", "image_pipelines.retention_days"
    for number in range(2):
        add_build(lake, number)
    lake.spark.sql(f"ALTER TABLE {table_in_sql(lake.path(FILES))} SET TBLPROPERTIES ('{name}' = 'interval 20 days')")
    before = files_of(lake)

    with pytest.raises(InputError, match=r"retention_days: the table 'files' keeps removed files for 'interval 20"):
        run()
    assert files_of(lake) == before

    run(retention_days=20)
    properties = {table: read_properties(lake.spark, lake.path(table)) for table in (FILES, GROUPS)}
    assert {table.name: (each[name], each.get(own)) for table, each in properties.items()} == {
        FILES.name: ("interval 20 days", None),
        GROUPS.name: ("interval 20 days", "20"),
    }


def test_a_dry_run_writes_nothing_and_reports_the_removals_of_a_run(
    lake: Lake, builds: list[TrainingSet], run: Callable[..., MaintenanceResult], tmp_path: Path
) -> None:
    before = files_of(lake)

    dry = run(dry_run=True)

    assert files_of(lake) == before
    write_report(dry, str(tmp_path / "dry.html"))
    assert "nothing was written" in (tmp_path / "dry.html").read_text()
    removed = {area.name: area.removed for area in run().areas if area.removed is not None}
    assert {area.name: area.removed for area in dry.areas if area.removed is not None} == removed

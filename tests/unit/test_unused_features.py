"""Features that no recent training set needs are found and removed."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from components.storage.files import Files
from components.training_set.features import FEATURES_FOLDER, TRAINING_SETS_FOLDER, unused_features
from components.training_set.manifest import MANIFEST, Segment, SplitName, TrainingSet
from pipelines.cli import app

NOW = datetime(2024, 11, 30, tzinfo=UTC)


def add_training_set(lake: Path, name: str, segments: str, day: int) -> None:
    """Write the manifest of a training set. Each letter is a segment; an upper-case one has test images."""
    listed = [
        Segment(name=each, split=SplitName.TEST if each.isupper() else SplitName.TRAIN, row_groups=[1], bytes=1)
        for each in segments
    ]
    folder = lake / TRAINING_SETS_FOLDER / name
    folder.mkdir(parents=True)
    made = TrainingSet(
        id=name, uri=folder.as_uri(), segments_uri=(lake / "segments").as_uri(), classes=[], counts={},
        segments=listed, table_versions={}, validation_fraction=0.1, test_fraction=0.1, split_seed=0, left_out={},
    )  # fmt: skip
    (folder / MANIFEST).write_text(made.model_dump_json())
    set_time(folder / MANIFEST, day)


def add_features(lake: Path, key: str, segments: str, day: int = 1) -> None:
    """Write features of some segments."""
    for each in segments:
        file = lake / FEATURES_FOLDER / key / each / "00000.npy"
        file.parent.mkdir(parents=True)
        file.write_bytes(b"12345678")
        set_time(file, day)


def set_time(file: Path, day: int) -> None:
    """Set the time of a file's last write to a day of November 2024."""
    time = datetime(2024, 11, day, tzinfo=UTC).timestamp()
    os.utime(file, (time, time))


def unused(lake: Path, newest: int = 2, now: datetime = NOW) -> list[tuple[str, str]]:
    """Return key and segment of the features that are not needed."""
    return [(each.key, each.segment) for each in unused_features(lake.as_uri(), newest, Files(), now)]


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    add_training_set(tmp_path, "oldest", "ab", day=10)
    add_training_set(tmp_path, "middle", "bcT", day=11)
    add_training_set(tmp_path, "newest", "bcdT", day=12)
    return tmp_path


def test_features_of_segments_that_no_recent_training_set_has_are_unused(lake: Path) -> None:
    add_features(lake, "key", "abcd")

    assert unused(lake) == [("key", "a")]
    assert unused(lake, newest=3) == []


def test_features_of_a_backbone_that_covers_no_recent_training_set_are_unused(lake: Path) -> None:
    add_features(lake, "earlier", "ab")
    add_features(lake, "current", "bc")

    assert unused(lake) == [("earlier", "a"), ("earlier", "b")]


def test_features_of_a_running_training_are_in_use(lake: Path) -> None:
    add_features(lake, "key", "d", day=29)

    assert unused(lake, now=datetime(2024, 11, 29, 12, tzinfo=UTC)) == []
    assert unused(lake, now=datetime(2024, 11, 29, tzinfo=UTC) + timedelta(days=1)) == [("key", "d")]


def test_training_sets_of_an_earlier_release_need_no_features(lake: Path) -> None:
    folder = lake / TRAINING_SETS_FOLDER / "old-layout"
    folder.mkdir()
    (folder / MANIFEST).write_text('{"files": {}}')
    add_features(lake, "key", "abcd")

    assert unused(lake, newest=2) == [("key", "a")]


def test_command_removes_features_of_an_earlier_release(lake: Path) -> None:
    file = lake / FEATURES_FOLDER / "old" / "train-part-00000.parquet.npy"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"1234")
    set_time(file, day=1)
    add_features(lake, "key", "bcd")

    removed = CliRunner().invoke(app, ["features", "remove", "--keep", "2", "--lake", str(lake)])

    assert removed.exit_code == 0, removed.output
    assert not file.exists()
    assert sorted(each.name for each in (lake / FEATURES_FOLDER / "key").iterdir()) == ["b", "c", "d"]


def test_command_removes_unused_features(lake: Path) -> None:
    add_features(lake, "key", "abcd")

    dry = CliRunner().invoke(app, ["features", "remove", "--keep", "2", "--lake", str(lake), "--dry-run"])
    assert dry.output == "Would remove: features of 1 segment, 0.0 MiB\nNothing was written.\n"
    assert (lake / FEATURES_FOLDER / "key" / "a").exists()

    removed = CliRunner().invoke(app, ["features", "remove", "--keep", "2", "--lake", str(lake)])
    assert removed.output == "Removed: features of 1 segment, 0.0 MiB\n"
    assert sorted(each.name for each in (lake / FEATURES_FOLDER / "key").iterdir()) == ["b", "c", "d"]

    listed = CliRunner().invoke(app, ["features", "list", "--lake", str(lake)])
    assert (
        listed.output.splitlines()[0]
        == "key: features of 3 segments, 0.0 MiB, not needed: features of 0 segments, 0.0 MiB"
    )

"""Forgotten images leave no bytes, and never come back."""

import hashlib
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from components.build_training_set import build
from components.build_training_set.build import build_training_set
from components.errors import InputError
from components.export_for_labeling.export import export_batch
from components.ingest_images.ingest import ingest
from components.labeling.batches import EXPORT_LOCK, copy_name
from components.lake import Lake
from components.lake.tables import FILES, FORGOTTEN, FORGOTTEN_CONTENTS, IMAGE, IMAGES, LABELING_REQUESTS, QUARANTINED
from components.maintain_lake.forget import ForgetResult, forget, forget_images
from components.parameters import Choice
from components.settings import Settings
from components.storage.open_folder import open_folder
from components.storage.uri import local_path
from components.training_set.manifest import MEMBERS
from pipelines.cli import app
from tests.support.kills import killed_forget, killed_ingest
from tests.support.kills.killed_forget import Point
from tests.support.kills.separate_reader import read_table
from tests.support.lake_rows import append_rows, replace_image
from tests.support.paths import REPOSITORY
from tests.support.scored_lake import SUCCESSION, insert_class, insert_images, insert_predictions, jpeg

# Each kill starts a Spark session of its own. `make test` runs the point with the most work done, `make test-slow` all.
QUICK = (Point.BEFORE_THE_ROWS,)


@pytest.fixture
def settings(lake: Lake, tmp_path: Path) -> Settings:
    return Settings.load(
        lake=lake.root,
        labeling_destination=str(tmp_path / "to label"),
        unlabeled_source=str(tmp_path / "landing"),
        mlflow_tracking_uri="http://nowhere",
    )


def run(
    lake: Lake, settings: Settings, *paths: str, sha256: str = "", now: bool = False, dry_run: bool = False
) -> ForgetResult:
    hashes = [sha256] if sha256 else []
    return forget_images(lake, settings, paths, hashes, [settings.labeling_destination], now, dry_run)


def files_with(content: bytes, *folders: Path) -> list[str]:
    """Return all files below folders that contain some bytes."""
    return [
        str(each) for folder in folders for each in folder.rglob("*") if each.is_file() and content in each.read_bytes()
    ]


def states(lake: Lake) -> dict[str, str]:
    """Return the state of each file by its name."""
    return {row["path"].rpartition("/")[2]: row["state"] for row in lake.read(FILES).select("path", "state").collect()}


def insert_everywhere(lake: Lake, settings: Settings) -> dict[str, bytes]:
    """Insert images into a training set and others into a batch; return all contents by path."""
    insert_class(lake, 1, "class 1")
    labeled = {f"file:/d/{number}.jpg": jpeg(number) for number in range(60)}
    insert_images(lake, labeled, label=1)
    exported = {f"file:/e/{number}.jpg": jpeg(100 + number) for number in range(3)}
    insert_images(lake, exported)
    insert_predictions(lake, dict.fromkeys(exported, 0.5))
    build_training_set(lake)
    destination = open_folder(settings.labeling_destination, "destination", settings)
    export_batch(lake, settings, destination, SUCCESSION, Choice(threshold=1, fraction=1, audit_fraction=0))
    return labeled | exported


def root(lake: Lake) -> Path:
    path = local_path(lake.root)
    assert path is not None
    return path


def test_bytes_of_a_forgotten_image_are_in_no_file_of_the_lake_and_the_destination(
    lake: Lake, settings: Settings, tmp_path: Path
) -> None:
    contents = insert_everywhere(lake, settings)
    gone, stays = {"file:/d/7.jpg", "file:/e/1.jpg"}, {"file:/d/8.jpg", "file:/e/2.jpg"}
    places = root(lake), tmp_path / "to label"
    assert all(len(files_with(contents[path], *places)) == 2 for path in gone | stays)

    result = run(lake, settings, *sorted(gone), now=True)

    assert [files_with(contents[path], *places) for path in sorted(gone)] == [[], []]
    assert all(len(files_with(contents[path], *places)) == 2 for path in stays)
    assert (result.segments, len(result.copies), result.unreachable) == (1, 1, {})
    images = {row["path"]: bytes(row["content"]) for row in lake.read(IMAGES).select("path", "content").collect()}
    assert images == {path: content for path, content in contents.items() if path not in gone}


@pytest.mark.slow
def test_a_copy_that_was_not_found_is_named_and_removed_by_a_run_with_its_destination(
    lake: Lake, settings: Settings, tmp_path: Path
) -> None:
    contents = insert_everywhere(lake, settings)
    elsewhere, gone = [str(tmp_path / "elsewhere")], "file:/e/1.jpg"

    first = forget_images(lake, settings, [gone], [], elsewhere, now=True)
    assert (first.copies, list(first.unreachable.values())) == ([], [[gone]])
    assert files_with(contents[gone], tmp_path / "to label")

    second = run(lake, settings, gone)
    assert (len(second.copies), second.unreachable) == (1, {})
    assert not files_with(contents[gone], root(lake), tmp_path / "to label")


@pytest.mark.slow
@pytest.mark.parametrize("by_hash", [False, True])
def test_copies_of_duplicates_are_removed_by_a_run_with_their_destination(
    lake: Lake, settings: Settings, tmp_path: Path, by_hash: bool
) -> None:
    picture, file, now = jpeg(1), b"the picture in another format", datetime.now(UTC)
    stored, converted = (hashlib.sha256(content).hexdigest() for content in (picture, file))
    path, duplicate, day = "file:/d/converted.heic", "file:/d/stored.jpg", now.date()
    insert_images(lake, {duplicate: picture})
    append_rows(lake, IMAGES, [(path, stored, picture, converted, len(file), now, "heic", None, "batch", day, now)])
    append_rows(lake, FILES, [(path, "file:/d", len(file), now, None, converted, stored, IMAGE, None, None, day, now)])
    insert_predictions(lake, {path: 0.5, duplicate: 0.5})
    # An export takes one of the images with the same content.
    request = (duplicate, stored, "batch", "folder", "uncertain", "model", "1", 7, 0.5, now, None, None)
    append_rows(lake, LABELING_REQUESTS, [request])
    copy = tmp_path / "elsewhere" / "batch" / copy_name(stored, duplicate)
    copy.parent.mkdir(parents=True)
    copy.write_bytes(picture)
    paths, hashes = ([], [converted]) if by_hash else ([path], [])

    first = forget_images(lake, settings, paths, hashes, [settings.labeling_destination])
    assert first.unreachable == {"batch": [duplicate]}

    second = forget_images(lake, settings, paths, hashes, [str(tmp_path / "elsewhere")])
    assert (second.copies, second.unreachable) == ([f"batch/{copy_name(stored, duplicate)}"], {})
    assert not copy.exists()


@pytest.mark.slow
def test_a_repeated_run_erases_an_image_of_a_training_set_again(lake: Lake, settings: Settings) -> None:
    insert_class(lake, 1, "class 1")
    insert_images(lake, {f"file:/d/{number}.jpg": jpeg(number) for number in range(60)}, label=1)
    build_training_set(lake)

    # A running training may have stored its features meanwhile.
    assert [run(lake, settings, "file:/d/7.jpg").segments for _ in range(2)] == [1, 1]


def test_without_now_the_bytes_stay_until_vacuum_and_the_rows_are_gone(lake: Lake, settings: Settings) -> None:
    insert_images(lake, {"file:/d/1.jpg": jpeg(1), "file:/d/2.jpg": jpeg(2)})

    run(lake, settings, "file:/d/1.jpg")

    assert [row["path"] for row in lake.read(IMAGES).select("path").collect()] == ["file:/d/2.jpg"]
    assert files_with(jpeg(1), root(lake))


def test_other_paths_with_the_same_content_are_forgotten_too(lake: Lake, settings: Settings) -> None:
    insert_images(lake, {"file:/d/1.jpg": jpeg(1), "file:/d/copy.jpg": jpeg(1), "file:/d/2.jpg": jpeg(2)})

    result = run(lake, settings, "file:/d/1.jpg")

    assert result.duplicates == ["file:/d/copy.jpg"]
    states = {row["path"]: row["state"] for row in read_table(lake, FILES)}
    assert states == {"file:/d/1.jpg": FORGOTTEN, "file:/d/copy.jpg": FORGOTTEN, "file:/d/2.jpg": IMAGE}


def test_an_image_is_forgotten_by_its_hash(lake: Lake, settings: Settings) -> None:
    insert_images(lake, {"file:/d/1.jpg": jpeg(1), "file:/d/2.jpg": jpeg(2)})

    run(lake, settings, sha256=hashlib.sha256(jpeg(1)).hexdigest())

    assert [row["path"] for row in lake.read(IMAGES).select("path").collect()] == ["file:/d/2.jpg"]


def test_forgotten_images_do_not_come_back(lake: Lake, settings: Settings, tmp_path: Path) -> None:
    landing = tmp_path / "landing"
    landing.mkdir()
    (landing / "person.jpg").write_bytes(jpeg(1))
    (landing / "other.jpg").write_bytes(jpeg(2))
    ingest(settings, labeled=False)
    person = f"file:{landing}/person.jpg"

    run(lake, settings, person, now=True)
    # The same path with another content, and the same content at another path.
    (landing / "person.jpg").write_bytes(jpeg(3))
    (landing / "again.jpg").write_bytes(jpeg(1))
    (landing / "new.jpg").write_bytes(jpeg(4))
    ingest(settings, labeled=False)

    assert not files_with(jpeg(1), root(lake))
    assert not files_with(jpeg(3), root(lake))
    current = {row["path"].rpartition("/")[2] for row in lake.current_images().collect()}
    assert current == {"other.jpg", "new.jpg"}


def test_a_path_can_be_forgotten_before_it_lands(lake: Lake, settings: Settings, tmp_path: Path) -> None:
    landing = tmp_path / "landing"
    landing.mkdir()
    path = f"file:{landing}/person.jpg"

    run(lake, settings, path)
    (landing / "person.jpg").write_bytes(jpeg(1))
    ingest(settings, labeled=False)

    assert lake.current_images().isEmpty()
    assert lake.read(IMAGES).isEmpty()


def test_a_path_that_has_another_content_now_keeps_it(lake: Lake, settings: Settings) -> None:
    insert_images(lake, {"file:/d/1.jpg": jpeg(1), "file:/d/replaced.jpg": jpeg(1)})
    replace_image(lake, "file:/d/replaced.jpg", jpeg(2))

    result = run(lake, settings, "file:/d/1.jpg", now=True)

    assert result.duplicates == []
    assert states(lake) == {"1.jpg": FORGOTTEN, "replaced.jpg": IMAGE}
    assert [bytes(row["content"]) for row in lake.read(IMAGES).select("content").collect()] == [jpeg(2)]
    assert not files_with(jpeg(1), root(lake))


def test_files_with_the_same_stored_picture_are_forgotten_too(lake: Lake, settings: Settings) -> None:
    picture, file = jpeg(1), b"the picture in another format"
    stored, converted = (hashlib.sha256(content).hexdigest() for content in (picture, file))
    now = datetime.now(UTC)
    insert_images(lake, {"file:/d/stored.jpg": picture, "file:/d/other.jpg": jpeg(2)})
    path, day = "file:/d/converted.heic", now.date()
    append_rows(lake, IMAGES, [(path, stored, picture, converted, len(file), now, "heic", None, "batch", day, now)])
    append_rows(lake, FILES, [(path, "file:/d", len(file), now, None, converted, stored, IMAGE, None, None, day, now)])

    run(lake, settings, sha256=converted)

    assert states(lake) == {"stored.jpg": FORGOTTEN, "converted.heic": FORGOTTEN, "other.jpg": IMAGE}
    assert [row["path"] for row in lake.read(IMAGES).select("path").collect()] == ["file:/d/other.jpg"]


def test_refused_files_with_the_content_of_a_forgotten_path_are_not_forgotten(
    lake: Lake, settings: Settings, tmp_path: Path
) -> None:
    landing = tmp_path / "landing"
    landing.mkdir()
    for name in ("person.jpg", "other.jpg"):
        (landing / name).write_bytes(b"")
    ingest(settings, labeled=False)

    run(lake, settings, f"file:{landing}/person.jpg")
    assert states(lake) == {"person.jpg": FORGOTTEN, "other.jpg": QUARANTINED}
    for name in ("person.jpg", "other.jpg"):
        (landing / name).write_bytes(jpeg(1))
    ingest(settings, labeled=False)

    assert states(lake) == {"person.jpg": FORGOTTEN, "other.jpg": IMAGE}


@pytest.mark.parametrize(
    "forgotten",
    [
        {"person.jpg", "broken.jpg"},
        pytest.param({"person.jpg"}, marks=pytest.mark.slow),
        pytest.param({"broken.jpg"}, marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_ingest_is_completed_without_images_forgotten_meanwhile(
    lake: Lake, settings: Settings, tmp_path: Path, forgotten: set[str]
) -> None:
    landing = tmp_path / "landing"
    landing.mkdir()
    contents = {"person.jpg": jpeg(1), "broken.jpg": b"no picture"}
    for name, content in contents.items():
        (landing / name).write_bytes(content)
    killed = subprocess.run(
        [sys.executable, "-m", killed_ingest.__name__, lake.root, str(landing)],
        cwd=REPOSITORY,
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -9, killed.stderr
    assert (lake.read(IMAGES).count(), states(lake)) == (2, {})

    run(lake, settings, *(f"file:{landing}/{name}" for name in sorted(forgotten)), now=True)
    (landing / "new.jpg").write_bytes(jpeg(2))
    ingest(settings, labeled=False)

    found = {"person.jpg": IMAGE, "broken.jpg": QUARANTINED, "new.jpg": IMAGE} | dict.fromkeys(forgotten, FORGOTTEN)
    assert states(lake) == found
    assert bool(files_with(jpeg(1), root(lake))) == ("person.jpg" not in forgotten)


@pytest.mark.slow
def test_an_interrupted_ingest_whose_images_are_all_forgotten_is_completed(
    lake: Lake, settings: Settings, tmp_path: Path
) -> None:
    landing = tmp_path / "landing"
    landing.mkdir()
    (landing / "person.jpg").write_bytes(jpeg(1))
    killed = subprocess.run(
        [sys.executable, "-m", killed_ingest.__name__, lake.root, str(landing)],
        cwd=REPOSITORY,
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -9, killed.stderr

    # By its hash: `files` does not have the path yet.
    run(lake, settings, sha256=hashlib.sha256(jpeg(1)).hexdigest(), now=True)
    (landing / "new.jpg").write_bytes(jpeg(2))
    ingest(settings, labeled=False)

    assert states(lake) == {"person.jpg": FORGOTTEN, "new.jpg": IMAGE}
    assert not files_with(jpeg(1), root(lake))


@pytest.mark.parametrize(
    "point", [pytest.param(each, marks=() if each in QUICK else pytest.mark.slow) for each in Point]
)
def test_killed_forget_is_completed_when_it_is_repeated(
    lake: Lake, settings: Settings, tmp_path: Path, point: Point
) -> None:
    contents = insert_everywhere(lake, settings)
    gone = "file:/d/7.jpg"
    arguments = [lake.root, settings.labeling_destination, gone, point]

    killed = subprocess.run(
        [sys.executable, "-m", killed_forget.__name__, *arguments], cwd=REPOSITORY, capture_output=True, check=False
    )
    assert killed.returncode == -9, killed.stderr
    assert files_with(contents[gone], root(lake))
    assert lake.current_images().where(f"path = '{gone}'").isEmpty()

    run(lake, settings, gone, now=True)
    again = run(lake, settings, gone, now=True)

    assert not files_with(contents[gone], root(lake), tmp_path / "to label")
    assert all(files_with(content, root(lake)) for path, content in contents.items() if path != gone)
    assert again.images == []
    assert lake.read(FORGOTTEN_CONTENTS).count() == 1


@pytest.mark.slow
def test_a_build_that_began_before_has_no_forgotten_image(
    lake: Lake, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert_class(lake, 1, "class 1")
    insert_images(lake, {f"file:/d/{number}.jpg": jpeg(number) for number in range(60)}, label=1)
    hash_members = build._hash_members
    ids: list[str] = []

    def forget_meanwhile(*arguments: Any) -> str:
        ids.append(hash_members(*arguments))
        if len(ids) == 1:
            run(Lake(lake.spark, lake.root), settings, "file:/d/7.jpg", now=True)
        return ids[-1]

    monkeypatch.setattr(build, "_hash_members", forget_meanwhile)
    made = build_training_set(lake).training_set

    assert made.id == ids[-1] != ids[0]
    members = lake.spark.read.parquet(f"{made.uri}/{MEMBERS}")
    assert {row["path"] for row in members.collect()} == {f"file:/d/{each}.jpg" for each in range(60) if each != 7}
    assert sum(segment.rows for segment in made.segments) == 59
    assert not files_with(jpeg(7), root(lake))


def test_forget_waits_for_a_running_export(lake: Lake, settings: Settings) -> None:
    insert_images(lake, {"file:/d/1.jpg": jpeg(1)})
    impatient = Lake(lake.spark, lake.root, lock_timeout_seconds=0.5)

    with lake.writer(EXPORT_LOCK), pytest.raises(TimeoutError, match=EXPORT_LOCK):
        run(impatient, settings, "file:/d/1.jpg")

    assert states(lake) == {"1.jpg": IMAGE}


def test_dry_run_of_forget_writes_nothing(lake: Lake, settings: Settings) -> None:
    insert_images(lake, {"file:/d/1.jpg": jpeg(1)})
    versions = [lake.version(table) for table in (FILES, IMAGES, FORGOTTEN_CONTENTS)]

    assert len(run(lake, settings, "file:/d/1.jpg", dry_run=True).images) == 1
    assert [lake.version(table) for table in (FILES, IMAGES, FORGOTTEN_CONTENTS)] == versions


@pytest.mark.parametrize(
    ("paths", "hashes", "sentence"),
    [
        ([], [], "forget: no images given."),
        ([], ["abc"], "sha256: 'abc' is not a SHA-256."),
        (["a.jpg"], [], "path: 'a.jpg' is neither an absolute path nor a URI."),
    ],
)
def test_malformed_images_to_forget_raise_an_error(
    settings: Settings, paths: list[str], hashes: list[str], sentence: str
) -> None:
    with pytest.raises(InputError) as error:
        forget(settings, paths, hashes)
    assert str(error.value).startswith(sentence)


def test_command_reads_paths_from_a_file_and_names_what_it_cannot_reach(
    lake: Lake, settings: Settings, tmp_path: Path
) -> None:
    insert_images(lake, {"file:/d/1.jpg": jpeg(1), "file:/d/2.jpg": jpeg(2)})
    old = root(lake) / "training_sets" / "old" / "train" / "00000.parquet"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"pictures of release 0.1.0")
    (tmp_path / "paths.txt").write_text("file:/d/1.jpg\n\nfile:/d/2.jpg\n")

    result = CliRunner().invoke(app, ["forget", "--from", str(tmp_path / "paths.txt"), "--lake", lake.root])

    assert result.exit_code == 0, result.output
    assert "Forgot 2 contents of 2 paths." in result.output
    assert "A training that runs now may store such features again." in result.output
    assert "Not reached: the files in landing folders" in result.output
    assert f"Delete it: {lake.root}/training_sets/old" in result.output

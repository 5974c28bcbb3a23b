"""Forgotten images leave no bytes, and never come back."""

import hashlib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from components.build_training_set.build import build_training_set
from components.errors import InputError
from components.export_for_labeling.export import export_batch
from components.ingest_images.ingest import ingest
from components.lake import Lake
from components.lake.tables import FILES, FORGOTTEN, FORGOTTEN_CONTENTS, IMAGE, IMAGES
from components.maintain_lake.forget import ForgetResult, forget, forget_images
from components.parameters import Choice
from components.settings import Settings
from components.storage.open_folder import open_folder
from components.storage.uri import local_path
from pipelines.cli import app
from tests.support.kills.separate_reader import read_table
from tests.support.scored_lake import SUCCESSION, insert_class, insert_images, insert_predictions, jpeg


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


def root(lake: Lake) -> Path:
    path = local_path(lake.root)
    assert path is not None
    return path


def test_bytes_of_a_forgotten_image_are_in_no_file_of_the_lake_and_the_destination(
    lake: Lake, settings: Settings, tmp_path: Path
) -> None:
    insert_class(lake, 1, "class 1")
    labeled = {f"file:/d/{number}.jpg": jpeg(number) for number in range(60)}
    insert_images(lake, labeled, label=1)
    exported = {f"file:/e/{number}.jpg": jpeg(100 + number) for number in range(3)}
    insert_images(lake, exported)
    insert_predictions(lake, dict.fromkeys(exported, 0.5))
    build_training_set(lake)
    destination = open_folder(settings.labeling_destination, "destination", settings)
    export_batch(lake, settings, destination, SUCCESSION, Choice(threshold=1, fraction=1, audit_fraction=0))
    gone, stays = {"file:/d/7.jpg", "file:/e/1.jpg"}, {"file:/d/8.jpg", "file:/e/2.jpg"}
    contents = labeled | exported
    places = root(lake), tmp_path / "to label"
    assert all(len(files_with(contents[path], *places)) == 2 for path in gone | stays)

    result = run(lake, settings, *sorted(gone), now=True)

    assert [files_with(contents[path], *places) for path in sorted(gone)] == [[], []]
    assert all(len(files_with(contents[path], *places)) == 2 for path in stays)
    assert (result.segments, len(result.copies), result.unreachable) == (1, 1, {})
    images = {row["path"]: bytes(row["content"]) for row in lake.read(IMAGES).select("path", "content").collect()}
    assert images == {path: content for path, content in contents.items() if path not in gone}


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


def test_forgetting_is_idempotent_and_completes_an_interrupted_run(
    lake: Lake, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert_images(lake, {"file:/d/1.jpg": jpeg(1), "file:/d/2.jpg": jpeg(2)})
    with monkeypatch.context() as interrupted:
        interrupted.setattr(lake, "delete", lambda *_: (_ for _ in ()).throw(RuntimeError("killed")))
        with pytest.raises(RuntimeError, match="killed"):
            run(lake, settings, "file:/d/1.jpg")
    assert not lake.current_images().where("path = 'file:/d/1.jpg'").count()

    run(lake, settings, "file:/d/1.jpg", now=True)
    again = run(lake, settings, "file:/d/1.jpg", now=True)

    assert not files_with(jpeg(1), root(lake))
    assert again.images == []
    assert lake.read(FORGOTTEN_CONTENTS).count() == 1


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
    (tmp_path / "paths.txt").write_text("file:/d/1.jpg\n\nfile:/d/2.jpg\n")

    result = CliRunner().invoke(app, ["forget", "--from", str(tmp_path / "paths.txt"), "--lake", lake.root])

    assert result.exit_code == 0, result.output
    assert "Forgot 2 contents of 2 paths." in result.output
    assert "Not reached: the files in landing folders" in result.output

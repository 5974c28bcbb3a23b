"""Ingest: each content of a file that lands comes into the lake, once."""

import hashlib
import io
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image
from pyspark.sql import Row
from pyspark.sql import functions as F

from components.errors import InputError
from components.ingest_images import batch, plan_runner
from components.ingest_images.batch import BatchOutcome
from components.ingest_images.discovery import discover
from components.ingest_images.discovery.discover import Discovery
from components.ingest_images.ingest import IngestResult, ingest_folder
from components.ingest_images.labels.reader import IN_DOUBT, NO_FOLDER, OTHER_DEPTH, FolderLabels
from components.ingest_images.limits import Limits
from components.ingest_images.plan_runner import PlanRunner
from components.ingest_images.plans import FILES_SCHEMA, Plan, PlanFolder
from components.ingest_images.read_errors import VANISHED
from components.ingest_images.relabel import relabel_source
from components.ingest_images.requeue import requeue_files
from components.ingest_images.worker import INPUT, OUTPUT_COLUMNS, UNCHANGED, Work, make_worker
from components.lake import Lake
from components.lake.tables import CLASSES, FILES, FOLDER_LABELS_END, IMAGE, IMAGES, QUARANTINED
from components.parameters import IngestOptions
from components.parameters.ingest import LabelSource
from components.pipeline_run import RUN_ID_VARIABLE
from components.preprocessing.file_kinds import EMPTY
from components.run_notes import IngestNote, read_run_note, write_run_note
from components.settings import Settings
from components.storage.access import Access
from tests.support.hostile_images import gif_of_frames, jpeg_of_many_scans


def jpeg(shade: int, size: tuple[int, int] = (16, 16)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (shade, shade, 255 - shade)).save(buffer, "JPEG")
    return buffer.getvalue()


def planned_files(folder: Path) -> pa.Table:
    """Return the images of a folder as a worker's input."""
    return pa.Table.from_pylist(
        [{"path": f"file:{path}", "length": path.stat().st_size} for path in sorted(folder.glob("*.jpg"))], schema=INPUT
    )


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    """Four images in folders with and without a class, and another file."""
    folder = tmp_path / "landing [1]"
    for index, name in enumerate(
        ["001.ak47/001_0001.jpg", "001.ak47/deep/001.ak47/001_0002.JPG", "002.flag/a b#%41 ü.jpg", "2023-holiday/x.Jpg"]
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(index))
    (folder / "002.flag" / "notes.txt").write_text("no image")
    return folder


def run(lake: Lake, landing: Path, limits: Limits = Limits()) -> IngestResult:  # noqa: B008 - frozen
    return ingest_folder(lake, f"file://{landing}", limits=limits)


def files(lake: Lake, state: str) -> dict[str, Row]:
    """Return the rows of `files` in a state, by name of the file."""
    rows = lake.read(FILES).where(F.col("state") == state).collect()
    assert len(rows) == len({row["path"] for row in rows})
    return {Path(row["path"]).name: row for row in rows}


def labels(lake: Lake) -> dict[str, int | None]:
    return {name: row["folder_label"] for name, row in files(lake, IMAGE).items()}


def class_names(lake: Lake) -> dict[int, str]:
    rows = lake.read(CLASSES).collect()
    assert len(rows) == len({row["label"] for row in rows})
    return {row["label"]: row["name"] for row in rows}


def make_images(folder: Path, *names: str) -> None:
    """Make an image of its own for each name."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(sum(name.encode()) % 256, (16, 16 + len(name))))


def quarantine(lake: Lake) -> dict[str, str]:
    return {name: row["reason"] for name, row in files(lake, QUARANTINED).items()}


def stored(lake: Lake, name: str) -> list[bytes]:
    """Return the contents that `images` has of a file, in the order of their ingest."""
    rows = lake.read(IMAGES).where(F.col("path").endswith(name) & F.col("content").isNotNull())
    return [bytes(row["content"]) for row in rows.orderBy("ingested_at").collect()]


def touch(path: Path, seconds: int) -> None:
    """Let a file be modified later, by seconds: listings have whole seconds."""
    os.utime(path, (path.stat().st_mtime + seconds,) * 2)


def test_ingested_images_have_the_class_of_their_folder(lake: Lake, landing: Path) -> None:
    result = run(lake, landing)

    assert labels(lake) == {"001_0001.jpg": 1, "001_0002.JPG": 1, "a b#%41 ü.jpg": 2, "x.Jpg": None}
    assert (result.found, result.ingested, result.without_class) == (4, 4, {IN_DOUBT: 1})
    assert (result.classes, result.new_classes) == ({(1, "ak47"): 2, (2, "flag"): 1}, {1, 2})
    assert result.doubt == "most of its folders have one image (1 of 1)"
    assert class_names(lake) == {1: "ak47", 2: "flag"}
    content = (landing / "002.flag" / "a b#%41 ü.jpg").read_bytes()
    assert stored(lake, "a b#%41 ü.jpg") == [content]
    row = files(lake, IMAGE)["a b#%41 ü.jpg"]
    digest = hashlib.sha256(content).hexdigest()
    assert (row["content_sha256"], row["source_sha256"], row["length"]) == (digest, digest, len(content))


def test_repeated_ingest_is_idempotent_and_finds_new_files(lake: Lake, landing: Path) -> None:
    first = run(lake, landing)
    second = run(lake, landing)
    (landing / "001.ak47" / "late.jpg").write_bytes(jpeg(100))
    third = run(lake, landing)

    assert (second.found, second.ingested, second.table_version) == (0, 0, first.table_version)
    assert (third.found, third.ingested) == (1, 1)
    assert len(labels(lake)) == lake.read(IMAGES).count() == 5


def test_each_batch_is_one_commit_of_the_plans_number(lake: Lake, landing: Path) -> None:
    for number in range(2):
        (landing / f"{number}.jpg").write_bytes(jpeg(90 + number))
        run(lake, landing)

    history = lake.delta(IMAGES).history().where("operation = 'WRITE'").orderBy("version").collect()
    batches = lake.read(IMAGES).select("batch", "ingested_at").distinct().orderBy("ingested_at").collect()
    assert [row["userMetadata"] for row in history] == [row["batch"] for row in batches]
    assert [row["batch"].split("-")[1] for row in batches] == ["0", "1"]
    assert list(Path(lake.root.removeprefix("file://")).glob("_plans/*/*.parquet")) == []


@pytest.mark.slow
def test_run_note_keeps_the_counts_of_a_failed_attempt(
    lake: Lake, landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discover, "MAXIMUM_FILES", 1)
    monkeypatch.setenv(RUN_ID_VARIABLE, "r")
    settings = Settings.load(lake=lake.root)
    batches = 0

    def fail_in_the_third(note: IngestNote) -> None:
        nonlocal batches
        batches += 1
        if batches == 3:
            raise ConnectionResetError
        write_run_note(settings, note)

    def ingest() -> IngestResult:
        return ingest_folder(lake, f"file://{landing}", on_batch=fail_in_the_third)

    with pytest.raises(ConnectionResetError):
        ingest()
    second = ingest()
    write_run_note(settings, second.note())

    note = read_run_note(settings, "r", IngestNote)
    assert note is not None
    assert (note.found, note.ingested, note.ever_found) == (4, 4, True)


def test_invalid_files_go_to_quarantine_with_a_reason(lake: Lake, landing: Path) -> None:
    folder = landing / "002.flag"
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_bytes(b"once upon a time")
    (folder / "truncated.jpg").write_bytes(jpeg(9, (200, 200))[:400])
    (folder / "heavy.jpg").write_bytes(jpeg(9) + bytes(5000))
    (folder / "wide.jpg").write_bytes(jpeg(9, (300, 300)))

    result = run(lake, landing, Limits(bytes=5000, pixels=50_000))

    reasons = quarantine(lake)
    assert reasons.pop("truncated.jpg").startswith("can't be decoded: ")
    assert reasons == {
        "empty.jpg": EMPTY,
        "text.jpg": "not an image",
        "heavy.jpg": "more than 5000 bytes",
        "wide.jpg": "more than 50000 pixels",
    }
    assert (result.ingested, result.quarantined.total()) == (4, 5)
    assert {path.rsplit("/", 1)[1]: reason for path, reason in result.quarantined_files} == quarantine(lake)
    refused = lake.read(IMAGES).where("reason IS NOT NULL")
    assert refused.where("content IS NULL AND content_sha256 IS NULL").count() == 5


def test_gif_whose_frames_exceed_the_pixel_limit_is_quarantined_and_the_rest_is_ingested(
    lake: Lake, landing: Path
) -> None:
    (landing / "001.ak47" / "000 bomb.jpg").write_bytes(gif_of_frames(2000, 1000))

    result = run(lake, landing)

    assert quarantine(lake) == {"000 bomb.jpg": "more than 100000000 pixels"}
    assert result.ingested == 4


def test_file_that_takes_too_long_is_refused_and_the_others_are_read(lake: Lake, tmp_path: Path) -> None:
    for name, content in {"1.jpg": jpeg(1), "2.jpg": jpeg_of_many_scans(3000), "3.jpg": jpeg(3)}.items():
        (tmp_path / name).write_bytes(content)
    work = Work(Access(), Limits(), batch_bytes=2**26, decoding_seconds=3)
    ingest = make_worker([planned_files(tmp_path)], work)

    rows = lake.spark.range(0, 1, 1, 1).mapInArrow(ingest, OUTPUT_COLUMNS).select("path", "reason").collect()

    assert [(row["path"][-5:], row["reason"]) for row in rows] == [
        ("1.jpg", None),
        ("2.jpg", "decoding took more than 3 s"),
        ("3.jpg", None),
    ]


def test_changed_file_is_a_new_content_of_its_path(lake: Lake, landing: Path) -> None:
    run(lake, landing)
    changed = landing / "001.ak47" / "001_0001.jpg"
    first, second = changed.read_bytes(), jpeg(77, (40, 40))
    changed.write_bytes(second)

    result = run(lake, landing)

    assert (result.found, result.ingested) == (1, 1)
    assert stored(lake, changed.name) == [first, second]
    assert files(lake, IMAGE)[changed.name]["content_sha256"] == hashlib.sha256(second).hexdigest()
    assert len(labels(lake)) == 4


def test_changed_file_that_is_no_image_goes_to_quarantine_and_its_earlier_content_stays(
    lake: Lake, landing: Path
) -> None:
    run(lake, landing)
    changed = landing / "001.ak47" / "001_0001.jpg"
    first = changed.read_bytes()
    changed.write_bytes(b"no image")

    run(lake, landing)

    assert quarantine(lake) == {changed.name: "not an image"}
    assert stored(lake, changed.name) == [first]


def test_half_written_file_is_ingested_when_it_is_complete(lake: Lake, landing: Path) -> None:
    content = jpeg(9, (200, 200))
    growing = landing / "001.ak47" / "growing.jpg"
    growing.write_bytes(content[:400])
    run(lake, landing)
    before = quarantine(lake)
    growing.write_bytes(content)

    result = run(lake, landing)

    assert set(before) == {"growing.jpg"}
    assert quarantine(lake) == {}
    assert (result.found, result.ingested, stored(lake, "growing.jpg")) == (1, 1, [content])


def test_touched_file_is_not_stored_again(lake: Lake, landing: Path) -> None:
    run(lake, landing)
    touched = landing / "001.ak47" / "001_0001.jpg"
    before = files(lake, IMAGE)[touched.name]
    touch(touched, 10)

    result, again = run(lake, landing), run(lake, landing)

    after = files(lake, IMAGE)[touched.name]
    assert [(each.found, each.ingested, each.quarantined.total()) for each in (result, again)] == [(1, 0, 0), (0, 0, 0)]
    assert stored(lake, touched.name) == [touched.read_bytes()]
    assert (after["load_date"], after["ingested_at"]) == (before["load_date"], before["ingested_at"])
    assert after["modificationTime"] != before["modificationTime"]


@pytest.mark.slow
def test_file_that_gets_an_earlier_content_again_points_to_its_newest_row(lake: Lake, landing: Path) -> None:
    path = landing / "001.ak47" / "001_0001.jpg"
    first = path.read_bytes()
    for content in (first, jpeg(9, (40, 40)), first):
        path.write_bytes(content)
        run(lake, landing)

    assert len(stored(lake, path.name)) == 3
    newest = lake.read(IMAGES).where(F.col("path").endswith(path.name)).agg(F.max("ingested_at")).first()[0]
    assert files(lake, IMAGE)[path.name]["ingested_at"] == newest


@pytest.mark.slow
def test_ingested_image_stays_after_limits_are_lowered(lake: Lake, landing: Path) -> None:
    run(lake, landing)
    for path in landing.rglob("*.[jJ]*"):
        touch(path, 10)

    run(lake, landing, Limits(pixels=1))

    assert quarantine(lake) == {}
    assert len(labels(lake)) == 4


def test_requeue_gives_images_the_labels_of_another_pattern(lake: Lake, landing: Path) -> None:
    ingest_folder(lake, f"file://{landing}", IngestOptions(label_pattern=r"^(?P<label>\d{5})-"))
    before = set(labels(lake).values())
    paths = [f"file://{path}" for path in landing.rglob("*.[jJ]*")]

    outcomes = requeue_files(lake, paths, FolderLabels(in_doubt=True), Limits(), f"file://{landing}")

    assert before == {None}
    assert {each.reason for each in outcomes} == {None}
    assert labels(lake) == {"001_0001.jpg": 1, "001_0002.JPG": 1, "a b#%41 ü.jpg": 2, "x.Jpg": None}
    assert lake.read(IMAGES).where("content IS NOT NULL").count() == 4
    assert run(lake, landing).found == 0


def test_named_folders_are_classes_that_the_lake_numbers(lake: Lake, tmp_path: Path) -> None:
    source = tmp_path / "landing"
    make_images(source, "train/zèbre/1.jpg", "val/Ze\u0300bre/2.jpeg", "2026/11/29/ZÈBRE /3.PNG", "cats/4.jpg", "5.jpg")
    make_images(source, "train/cats/@eaDir/4.jpg/thumb.jpg", "cats/Thumbs.db")

    first = run(lake, source)
    # Other numbers of images and depths change nothing later.
    make_images(source, "newts/6.jpg", "toads/7.jpg", "farm/cats/8.jpg")
    second = run(lake, source)

    cats, zebra, newts, toads = range(FOLDER_LABELS_END, FOLDER_LABELS_END + 4)
    assert class_names(lake) == {cats: "cats", zebra: "Zèbre", newts: "newts", toads: "toads"}
    assert labels(lake) == {
        **{"1.jpg": zebra, "2.jpeg": zebra, "3.PNG": zebra, "4.jpg": cats, "5.jpg": None},
        **{"6.jpg": newts, "7.jpg": toads, "8.jpg": None},
    }
    assert (first.doubt, first.without_class, first.discovery.hidden) == ("", {NO_FOLDER: 1}, 2)
    assert (second.doubt, second.without_class) == ("", {OTHER_DEPTH: 1})


def test_relabel_gives_images_of_doubtful_folders_their_classes_and_others_by_a_pattern(
    lake: Lake, tmp_path: Path
) -> None:
    source = f"file://{tmp_path}"
    make_images(tmp_path, "cats/1.jpg", "farm/dogs/2.jpg", "farm/dogs/3.jpg", "007.zebra/4.jpg", "5.jpg")
    run(lake, tmp_path)
    before = labels(lake)

    folders = [relabel_source(lake, source, IngestOptions(labels=LabelSource.FOLDERS)) for _ in range(2)]
    by_folder = labels(lake)
    pattern = relabel_source(lake, source, IngestOptions(label_pattern=r"(?P<name>\w+)/[^/]*$"))
    by_pattern = labels(lake)

    cats, farm, dogs = FOLDER_LABELS_END, FOLDER_LABELS_END + 1, FOLDER_LABELS_END + 2
    assert before == {"1.jpg": None, "2.jpg": None, "3.jpg": None, "4.jpg": 7, "5.jpg": None}
    assert by_folder == {"1.jpg": cats, "2.jpg": farm, "3.jpg": farm, "4.jpg": 7, "5.jpg": None}
    # `zebra` is the class of this name.
    assert by_pattern == {"1.jpg": cats, "2.jpg": dogs, "3.jpg": dogs, "4.jpg": 7, "5.jpg": None}
    assert [each.changed for each in (*folders, pattern)] == [3, 0, 2]
    assert folders[1].classes == {(7, "zebra"): 1, (cats, "cats"): 1, (farm, "farm"): 2}
    assert folders[1].without_class == {NO_FOLDER: 1}


def test_number_with_two_names_and_name_with_two_numbers_are_reported_and_not_merged(
    lake: Lake, tmp_path: Path
) -> None:
    make_images(tmp_path, "001.cat/1.jpg", "001.dog/2.jpg", "002.Cat/3.jpg")

    result = run(lake, tmp_path)

    assert labels(lake) == {"1.jpg": 1, "2.jpg": None, "3.jpg": 2}
    assert class_names(lake) == {1: "cat", 2: "Cat"}
    assert result.without_class == {"class 1 has the name 'cat', not 'dog'": 1}
    assert result.several_numbers == {"cat": [1, 2], "Cat": [1, 2]}


def test_hidden_files_are_ignored_and_counted(lake: Lake, landing: Path) -> None:
    for name in ("001.ak47/_a.jpg", "001.ak47/.b.jpg", "_tmp/001.ak47/c.jpg", ".d/001.ak47/e.jpg"):
        (landing / name).parent.mkdir(parents=True, exist_ok=True)
        (landing / name).write_bytes(jpeg(50))

    result = run(lake, landing)

    assert (result.found, result.discovery.hidden, result.discovery.suffixes[".txt"]) == (4, 4, 1)


@pytest.mark.slow
def test_each_file_is_accounted_for_once_over_many_batches(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discover, "MAXIMUM_FILES", 3)
    folder = tmp_path / "many" / "001.ak47"
    folder.mkdir(parents=True)
    for number in range(7):
        (folder / f"{number:02}.jpg").write_bytes(b"" if number == 5 else jpeg(number))

    result = run(lake, folder.parent)

    assert (result.found, result.ingested) == (7, 6)
    assert quarantine(lake) == {"05.jpg": EMPTY}
    assert lake.read(IMAGES).select("batch").distinct().count() == 3


def before_execution(monkeypatch: pytest.MonkeyPatch, happen: Callable[[], object]) -> None:
    """Let something happen for real between the listing and the reading of a batch; only the moment is chosen."""
    execute = batch.execute

    def happen_and_execute(*arguments: Any) -> BatchOutcome:
        happen()
        return execute(*arguments)

    monkeypatch.setattr(plan_runner, "execute", happen_and_execute)


def test_file_deleted_after_listing_is_recorded_and_ingested_when_it_returns(
    lake: Lake, landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vanishing, elsewhere = landing / "001.ak47" / "001_0001.jpg", landing.parent / "elsewhere.jpg"
    with monkeypatch.context() as patch:
        before_execution(patch, lambda: vanishing.rename(elsewhere))
        result = run(lake, landing)
    recorded = quarantine(lake)
    elsewhere.rename(vanishing)

    returned = run(lake, landing)

    assert recorded == {"001_0001.jpg": VANISHED}
    assert (result.found, result.ingested) == (4, 3)
    assert (returned.found, returned.ingested, quarantine(lake)) == (1, 1, {})


@pytest.mark.slow
def test_image_stays_if_its_file_vanishes_after_it_was_touched(
    lake: Lake, landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(lake, landing)
    vanishing = landing / "001.ak47" / "001_0001.jpg"
    touch(vanishing, 10)
    with monkeypatch.context() as patch:
        before_execution(patch, vanishing.unlink)
        result = run(lake, landing)

    assert (result.found, result.quarantined.total(), quarantine(lake)) == (1, 0, {})
    assert len(labels(lake)) == 4


def test_file_replaced_after_listing_is_ingested_as_read(
    lake: Lake, landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replaced, content = landing / "001.ak47" / "001_0001.jpg", jpeg(99, (40, 40))
    with monkeypatch.context() as patch:
        before_execution(patch, lambda: replaced.write_bytes(content))
        run(lake, landing)

    again = run(lake, landing)

    assert (again.found, again.ingested) == (1, 0)
    assert stored(lake, replaced.name) == [content]
    row = lake.read(IMAGES).where(F.col("path").endswith(replaced.name) & F.col("reason").isNull()).first()
    assert (row["length"], row["content_sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert lake.read(IMAGES).where(F.col("reason") == UNCHANGED).count() == 1


class Killed(Exception):  # noqa: N818 - stands for a kill
    pass


def kill(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, after: bool) -> None:
    """Let the next call of a function of a class or module end the run, before or after its work."""
    method = getattr(owner, name)

    def end(*arguments: Any, **keywords: Any) -> Any:
        if after:
            method(*arguments, **keywords)
        raise Killed

    monkeypatch.setattr(owner, name, end)


@pytest.mark.parametrize(
    ("owner", "name", "after"),
    [
        (PlanFolder, "write", True),
        (Lake, "append", True),
        (batch, "record_files", False),
        *(
            pytest.param(*point, marks=pytest.mark.slow)
            for point in [
                (PlanFolder, "write", False),
                (Lake, "append", False),
                (Lake, "insert_new", False),
                (Lake, "insert_new", True),
                (batch, "record_files", True),
                (PlanFolder, "remove", False),
                (PlanFolder, "remove", True),
            ]
        ),
    ],
)
def test_interrupted_batch_is_finished_exactly_once(
    lake: Lake, landing: Path, monkeypatch: pytest.MonkeyPatch, owner: object, name: str, after: bool
) -> None:
    (landing / "broken.jpg").write_bytes(b"no image")
    make_images(landing, "newts/1.jpg", "newts/2.jpg")
    with monkeypatch.context() as patch:
        kill(patch, owner, name, after)
        with pytest.raises(Killed):
            run(lake, landing)
    # Another batch than the interrupted one: the open plan comes first.
    (landing / "late.jpg").write_bytes(jpeg(100))

    run(lake, landing)

    holiday, newts = FOLDER_LABELS_END, FOLDER_LABELS_END + 1
    assert labels(lake) == {
        **{"001_0001.jpg": 1, "001_0002.JPG": 1, "a b#%41 ü.jpg": 2, "late.jpg": None, "x.Jpg": holiday},
        **{"1.jpg": newts, "2.jpg": newts},
    }
    assert quarantine(lake) == {"broken.jpg": "not an image"}
    assert lake.read(IMAGES).count() == 8
    assert class_names(lake) == {1: "ak47", 2: "flag", holiday: "2023-holiday", newts: "newts"}
    assert run(lake, landing).found == 0


def test_batch_that_is_not_acknowledged_is_found_again_without_a_second_row(lake: Lake, landing: Path) -> None:
    path = landing / "001.ak47" / "001_0001.jpg"
    found = pa.Table.from_pylist(
        [
            {
                "path": f"file:{path}",
                "length": path.stat().st_size,
                "modificationTime": datetime.fromtimestamp(int(path.stat().st_mtime), UTC),
                "etag": None,
            }
        ],
        schema=FILES_SCHEMA,
    )
    outcomes: list[BatchOutcome] = []
    runner = PlanRunner(lake, f"file://{landing}", on_outcome=outcomes.append)

    def fail() -> None:
        raise Killed

    with pytest.raises(Killed):
        runner.run(found, None, Limits(), fail)
    runner.finish_open_plan()
    runner.run(found, None, Limits())

    assert [each.found for each in outcomes] == [1, 1, 0]
    assert lake.read(IMAGES).count() == 1


def test_commit_that_delta_skips_is_an_error(lake: Lake, landing: Path) -> None:
    source = f"file://{landing}"
    run(lake, landing)
    found = lake.read(FILES).select(FILES_SCHEMA.names).toArrow()
    # Its number was used, as after a lost plan.
    PlanFolder(lake.root, source, lake.files).write(Plan.make(0, source, None, Limits(), found))

    with pytest.raises(RuntimeError, match=r"^images: batch '.*-0-.*' was not committed"):
        run(lake, landing)


def test_file_of_two_sources_is_stored_once(lake: Lake, landing: Path) -> None:
    run(lake, landing)

    nested = run(lake, landing / "001.ak47")

    assert nested.found == 0
    assert lake.read(IMAGES).count() == 4


def test_file_that_another_source_adds_after_discovery_is_stored_once(lake: Lake, landing: Path) -> None:
    found = Discovery(lake, f"file://{landing}", IngestOptions(), Access())
    (discovered,) = found
    assert discovered.absent_in == lake.version(FILES)
    run(lake, landing / "001.ak47")

    outcomes: list[BatchOutcome] = []
    runner = PlanRunner(lake, f"file://{landing}", on_outcome=outcomes.append)
    runner.run(discovered.files, None, Limits(), absent_in=discovered.absent_in)

    assert [each.found for each in outcomes] == [2]
    assert lake.read(IMAGES).count() == lake.read(FILES).count() == 4


@pytest.mark.parametrize("here", [0, 8])
def test_outcome_of_a_batch_is_what_its_commit_added(
    lake: Lake, landing: Path, monkeypatch: pytest.MonkeyPatch, here: int
) -> None:
    (landing / "002.flag" / "broken.jpg").write_text("no image")
    monkeypatch.setattr(batch, "_DATA_FILES_READ_HERE", here)

    result = run(lake, landing)

    assert (result.found, result.ingested) == (5, 4)
    assert [Path(path).name for path, _ in result.quarantined_files] == ["broken.jpg"]
    assert {Path(path).name: content for path, content in result.sample} == {
        path.name: path.read_bytes() for path in landing.rglob("*.[jJ]*") if path.name != "broken.jpg"
    }


def test_workers_yield_batches_within_the_budget(lake: Lake, tmp_path: Path) -> None:
    content = jpeg(1) + bytes(100_000)
    for number in range(12):
        (tmp_path / f"{number:02}.jpg").write_bytes(content + bytes(number))
    ingest = make_worker([planned_files(tmp_path)], Work(Access(), Limits(), batch_bytes=350_000))

    def measure(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        sizes = [(batch["path"][0].as_py()[-6:], batch.num_rows, batch["content"].nbytes) for batch in ingest(batches)]
        yield pa.RecordBatch.from_pylist([dict(zip(("first", "rows", "bytes"), size, strict=True)) for size in sizes])

    rows = lake.spark.range(0, 1, 1, 1).mapInArrow(measure, "first STRING, rows LONG, bytes LONG").collect()

    assert [(row["first"], row["rows"]) for row in rows] == [("00.jpg", 3), ("03.jpg", 3), ("06.jpg", 3), ("09.jpg", 3)]
    assert max(row["bytes"] for row in rows) < 350_000


def test_images_are_stored_in_small_row_groups_sorted_by_path(lake: Lake, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    folder = tmp_path / "landing"
    folder.mkdir()
    for number in range(24):
        (folder / f"{number:02}.jpg").write_bytes(jpeg(number) + os.urandom(100_000))

    run(lake, folder)

    written = list(Path(lake.path(IMAGES).removeprefix("file://")).glob("load_date=*/*.parquet"))
    metadata = [pq.ParquetFile(file).metadata for file in written]
    assert sum(each.num_rows for each in metadata) == 24
    for each in metadata:
        groups = [each.row_group(number) for number in range(each.num_row_groups)]
        assert max(group.total_byte_size for group in groups) < 2**20
        columns = {group.column(0).path_in_schema for group in groups}
        assert columns == {"path"}
        assert {group.column(number).compression for group in groups for number in range(group.num_columns)} == {
            "UNCOMPRESSED"
        }
        ranges = [(group.column(0).statistics.min, group.column(0).statistics.max) for group in groups]
        assert ranges == sorted(ranges)


def test_folder_without_images_is_valid(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "dry").mkdir()

    result = run(lake, tmp_path / "dry")

    assert (result.found, result.ever_found) == (0, False)


def test_missing_folder_is_named(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^source: .*nowhere"):
        run(lake, tmp_path / "nowhere")


def test_ranges_are_contiguous_and_of_equal_work() -> None:
    lengths = [1000] * 40 + [200 * 2**20] * 3
    rows = [{"path": f"{index:02}", "length": length} for index, length in enumerate(lengths)]
    planned = pa.Table.from_pylist(rows, schema=INPUT)

    ranges = batch.split_ranges(planned, cores=2)

    assert pa.concat_tables(ranges) == planned
    assert max(sum(each["length"].to_pylist()) for each in ranges) < 201 * 2**20

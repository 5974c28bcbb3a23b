"""Ingest: what lands comes into the lake, once."""

import hashlib
import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image
from pyspark.sql import functions as F

from components.errors import InputError
from components.images.header import EMPTY
from components.ingest_images.batch import REPLACED, VANISHED
from components.ingest_images.ingest import IngestResult, ingest_folder
from components.ingest_images.judge import judge
from components.ingest_images.labels import LabelPattern
from components.ingest_images.landing import batch_paths
from components.ingest_images.limits import Limits
from components.lake import Lake
from components.lake.tables import CLASSES, IMAGES, QUARANTINE
from components.workers.budget import Budget


def jpeg(shade: int, size: tuple[int, int] = (16, 16)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (shade, shade, 255 - shade)).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    """Five images of two classes, in any case and any depth, and what else lands in such a folder."""
    folder = tmp_path / "landing [1]"
    for index, name in enumerate(
        ["001.ak47/001_0001.jpg", "001.ak47/deep/001.ak47/001_0002.JPG", "002.flag/a b#%41 ü.jpg", "2023-holiday/x.Jpg"]
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(index))
    (folder / "002.flag" / "notes.txt").write_text("no image")
    return folder


def run(lake: Lake, landing: Path, limits: Limits | None = None) -> IngestResult:
    return ingest_folder(lake, f"file://{landing}", "*.jpg", LabelPattern(), limits=limits or Limits())


def images(lake: Lake) -> dict[str, int | None]:
    rows = lake.read(IMAGES).select("path", "label").collect()
    assert len(rows) == len({row["path"] for row in rows})
    return {Path(row["path"]).name: row["label"] for row in rows}


def quarantine(lake: Lake) -> dict[str, str]:
    rows = lake.read(QUARANTINE).collect()
    assert len(rows) == len({(row["path"], row["content_sha256"]) for row in rows})
    return {Path(row["path"]).name: row["reason"] for row in rows}


def test_images_come_with_the_class_of_their_folder(lake: Lake, landing: Path) -> None:
    result = run(lake, landing)

    assert images(lake) == {"001_0001.jpg": 1, "001_0002.JPG": 1, "a b#%41 ü.jpg": 2, "x.Jpg": None}
    assert (result.found, result.ingested, result.without_class) == (4, 4, 1)
    assert {row["label"]: row["name"] for row in lake.read(CLASSES).collect()} == {1: "ak47", 2: "flag"}
    stored = lake.read(IMAGES).where("label = 2").first()
    assert bytes(stored["content"]) == (landing / "002.flag" / "a b#%41 ü.jpg").read_bytes()


def test_a_second_run_changes_nothing_and_a_third_finds_what_is_new(lake: Lake, landing: Path) -> None:
    first = run(lake, landing)
    second = run(lake, landing)
    (landing / "001.ak47" / "late.jpg").write_bytes(jpeg(100))
    third = run(lake, landing)

    assert (second.found, second.ingested, second.table_version) == (0, 0, first.table_version)
    assert (third.found, third.ingested) == (1, 1)
    assert len(images(lake)) == 5


def test_a_deleted_checkpoint_doubles_no_row(lake: Lake, landing: Path) -> None:
    (landing / "001.ak47" / "broken.jpg").write_bytes(jpeg(1)[:50])
    run(lake, landing)
    before = images(lake), quarantine(lake)
    shutil.rmtree(Path(lake.root.removeprefix("file://")) / "_checkpoints")

    again = run(lake, landing)

    assert again.found == 5
    assert (again.ingested, again.quarantined.total()) == (0, 0)
    assert (images(lake), quarantine(lake)) == before


def test_a_damaged_checkpoint_is_named_and_removing_it_doubles_no_row(lake: Lake, landing: Path) -> None:
    run(lake, landing)
    before = images(lake)
    (checkpoint,) = Path(lake.root.removeprefix("file://"), "_checkpoints").glob("ingest-*")
    (checkpoint / "offsets" / "0").write_bytes(b"")

    with pytest.raises(InputError, match=rf"^checkpoint: 'file://.*/{checkpoint.name}' is damaged\. Remove"):
        run(lake, landing)
    shutil.rmtree(checkpoint)

    assert run(lake, landing).ingested == 0
    assert images(lake) == before


def test_what_is_no_image_goes_to_quarantine_with_its_reason_and_the_rest_goes_in(lake: Lake, landing: Path) -> None:
    folder = landing / "002.flag"
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_bytes(b"once upon a time")
    (folder / "truncated.jpg").write_bytes(jpeg(9, (200, 200))[:400])
    (folder / "heavy.jpg").write_bytes(jpeg(9) + bytes(5000))
    (folder / "wide.jpg").write_bytes(jpeg(9, (300, 300)))

    result = run(lake, landing, Limits(bytes=5000, pixels=50_000))

    reasons = quarantine(lake)
    assert set(reasons) == {"empty.jpg", "text.jpg", "truncated.jpg", "heavy.jpg", "wide.jpg"}
    assert reasons["heavy.jpg"] == "more than 5000 bytes"
    assert "empty" in reasons["empty.jpg"]
    assert "pixels" in reasons["wide.jpg"]
    assert result.ingested == 4
    assert result.quarantined.total() == 5
    assert {path.rsplit("/", 1)[1]: reason for path, reason in result.refused} == reasons


def test_another_content_at_a_known_path_goes_to_quarantine(lake: Lake, landing: Path) -> None:
    run(lake, landing)
    (landing / "001.ak47" / "001_0001.jpg").write_bytes(jpeg(77))
    shutil.rmtree(Path(lake.root.removeprefix("file://")) / "_checkpoints")

    run(lake, landing)

    assert quarantine(lake) == {"001_0001.jpg": REPLACED}
    assert len(images(lake)) == 4


def test_an_image_that_is_in_stays_out_of_quarantine_when_limits_are_lowered(lake: Lake, landing: Path) -> None:
    run(lake, landing)
    for limits in (Limits(pixels=1), Limits(bytes=1)):
        shutil.rmtree(Path(lake.root.removeprefix("file://")) / "_checkpoints")

        run(lake, landing, limits)

    assert quarantine(lake) == {}
    assert len(images(lake)) == 4


def test_an_image_leaves_quarantine_when_limits_are_raised(lake: Lake, landing: Path) -> None:
    (landing / "001.ak47" / "broken.jpg").write_bytes(b"no image")
    run(lake, landing, Limits(bytes=100))
    refused_at_first = set(quarantine(lake))
    shutil.rmtree(Path(lake.root.removeprefix("file://")) / "_checkpoints")
    run(lake, landing, Limits(pixels=1))
    shutil.rmtree(Path(lake.root.removeprefix("file://")) / "_checkpoints")

    result = run(lake, landing)

    assert len(refused_at_first) == 5
    assert set(quarantine(lake)) == {"broken.jpg"}
    assert (result.ingested, len(images(lake))) == (4, 4)


def test_names_that_begin_with_an_underscore_or_a_dot_do_not_count(lake: Lake, landing: Path) -> None:
    for name in ("001.ak47/_a.jpg", "001.ak47/.b.jpg", "_tmp/001.ak47/c.jpg", ".d/001.ak47/e.jpg"):
        (landing / name).parent.mkdir(parents=True, exist_ok=True)
        (landing / name).write_bytes(jpeg(50))

    assert run(lake, landing).found == 4


def test_each_file_is_accounted_for_in_a_run_of_many_batches(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One file in a batch; Spark compacts its list of files every ten batches.
    monkeypatch.setattr("components.ingest_images.landing._BYTES_PER_BATCH", 1)
    folder = tmp_path / "many" / "001.ak47"
    folder.mkdir(parents=True)
    for number in range(12):
        file = folder / f"{number:02}.jpg"
        file.write_bytes(b"" if number == 10 else jpeg(number))
        os.utime(file, (1_000_000 + number, 1_000_000 + number))

    result = run(lake, folder.parent)

    assert (result.found, result.ingested) == (12, 11)
    assert quarantine(lake) == {"10.jpg": EMPTY}
    compacted = list(Path(lake.root.removeprefix("file://")).glob("_checkpoints/*/sources/0/*.compact"))
    assert compacted


def test_a_file_that_vanishes_after_it_was_listed_is_recorded(
    lake: Lake, landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = batch_paths
    vanishing = landing / "001.ak47" / "001_0001.jpg"

    def vanish(*arguments: object) -> list[str]:
        paths = listed(*arguments)  # type: ignore[arg-type]  # the arguments are passed on
        vanishing.unlink()
        return paths

    # The file is deleted for real; only the moment is chosen, between listing and reading.
    monkeypatch.setattr("components.ingest_images.ingest.batch_paths", vanish)

    result = run(lake, landing)

    assert quarantine(lake) == {"001_0001.jpg": VANISHED}
    assert (result.found, result.ingested) == (4, 3)


def test_a_file_that_is_replaced_after_it_was_listed_comes_in_as_it_was_read(
    lake: Lake, landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = batch_paths
    replaced = landing / "001.ak47" / "001_0001.jpg"

    def replace(*arguments: object) -> list[str]:
        paths = listed(*arguments)  # type: ignore[arg-type]  # the arguments are passed on
        replaced.write_bytes(jpeg(99, (40, 40)))
        return paths

    # The file is replaced for real; only the moment is chosen, between listing and reading.
    monkeypatch.setattr("components.ingest_images.ingest.batch_paths", replace)

    run(lake, landing)

    stored = lake.read(IMAGES).where(F.col("path").endswith("001_0001.jpg")).first()
    assert bytes(stored["content"]) == replaced.read_bytes()
    assert stored["length"] == replaced.stat().st_size
    assert stored["content_sha256"] == hashlib.sha256(replaced.read_bytes()).hexdigest()


def test_workers_get_files_in_batches_within_the_budget_and_judge_them_with_one_thread_each(lake: Lake) -> None:
    size = Budget.of(lake.spark).batch_bytes // 4
    verdicts = judge(None, Limits())

    def look(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        lengths = [batch["content"].nbytes for batch in batches]
        image = pa.RecordBatch.from_pylist([{"path": "a", "content": jpeg(1)}])
        assert [batch["reason"][0].as_py() for batch in verdicts(iter([image]))] == [None]
        names = [Path(f"/proc/self/task/{thread}/comm").read_text() for thread in os.listdir("/proc/self/task")]
        threads = sum(name.startswith("tf_Compute") for name in names)
        yield pa.RecordBatch.from_pylist([{"largest": max(lengths), "total": sum(lengths), "threads": threads}])

    rows = lake.spark.range(0, 12, 1, 1).select(
        F.lit("a").alias("path"), F.expr(f"cast(repeat('x', {size}) AS BINARY)").alias("content")
    )

    seen = rows.mapInArrow(look, "largest LONG, total LONG, threads LONG").first()

    assert seen["total"] >= 12 * size
    # Spark closes a batch at the row that exceeds the budget.
    assert seen["largest"] < 6 * size
    assert seen["threads"] == 1


def test_a_missing_folder_is_named(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"source: no folder 'file://.*nowhere'"):
        run(lake, tmp_path / "nowhere")


def test_no_images_at_all_is_no_error(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "dry").mkdir()

    assert run(lake, tmp_path / "dry").found == 0

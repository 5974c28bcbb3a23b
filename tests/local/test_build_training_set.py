"""A training set: the labeled images, divided by content, frozen, the same for the same members."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from components.build_training_set.build import build_training_set
from components.build_training_set.report import write_report
from components.errors import InputError
from components.lake import Lake, Split
from components.lake.tables import CLASSES, LABELS
from components.settings import Settings
from components.spark.frames import frame
from components.storage.files import Files
from components.training_set.manifest import MANIFEST, MEMBERS, SplitName, TrainingSet
from components.training_set.membership import CONFLICTING_LABELS, DUPLICATE_CONTENT
from tests.support.lake_rows import append_images, append_rows, replace_image

NOW = datetime(2026, 5, 1, tzinfo=UTC)
Image = tuple[str, bytes, int | None]


def insert(lake: Lake, images: Sequence[Image]) -> None:
    append_images(lake, images, ingested_at=NOW)


def numbered(numbers: range) -> list[Image]:
    return [(f"file:/landing/{number}.jpg", f"content {number}".encode(), 1 + 4 * (number % 3)) for number in numbers]


def label(lake: Lake, answers: dict[str, int]) -> None:
    hashes = {row["path"]: row["content_sha256"] for row in lake.current_images().collect()}
    rows = [(path, hashes[path], answer, "studio", NOW) for path, answer in answers.items()]
    lake.upsert(LABELS, frame(lake.spark, rows, LABELS.columns))


def folder(training_set: TrainingSet) -> Path:
    return Path(training_set.uri.removeprefix("file://"))


def members(training_set: TrainingSet) -> dict[str, dict[str, Any]]:
    rows = pq.read_table(folder(training_set) / MEMBERS).to_pylist()
    assert len(rows) == len({row["path"] for row in rows})
    return {row["path"]: row for row in rows}


def stored(training_set: TrainingSet) -> dict[SplitName, list[dict[str, Any]]]:
    return {
        split: [row for name in names for row in pq.read_table(folder(training_set) / name).to_pylist()]
        for split, names in training_set.files.items()
    }


def test_each_labeled_image_is_in_exactly_one_split_with_its_content_and_label(lake: Lake) -> None:
    images = numbered(range(200))
    insert(lake, [*images, ("file:/landing/unlabeled.jpg", b"x", None)])

    made = build_training_set(lake, 4).training_set

    rows = [row for split in stored(made).values() for row in split]
    assert sorted((row["path"], row["content"], row["label"]) for row in rows) == sorted(images)
    assert set(members(made)) == {path for path, _, _ in images}
    assert {split: len(split_rows) for split, split_rows in stored(made).items()} == made.counts
    assert [(item.index, item.label) for item in made.classes] == [(0, 1), (1, 5), (2, 9)]


def test_files_have_one_row_group_equal_length_and_hash_order(lake: Lake) -> None:
    insert(lake, numbered(range(200)))

    made = build_training_set(lake, 4).training_set

    for split, names in made.files.items():
        found = [pq.ParquetFile(folder(made) / name) for name in names]
        lengths = [file.metadata.num_rows for file in found]
        assert len(names) == 4
        assert [file.num_row_groups for file in found] == [1] * 4
        assert max(lengths) - min(lengths) <= 1, split
    order = [
        hashlib.sha256(f"0:{hashlib.sha256(row['content']).hexdigest()}".encode()).hexdigest()[::-1]
        for row in stored(made)[SplitName.TRAIN]
    ]
    assert order == sorted(order)


def test_same_members_give_the_same_training_set(lake: Lake) -> None:
    insert(lake, numbered(range(100)))
    first = build_training_set(lake, 2).training_set
    written = (folder(first) / MANIFEST).stat().st_mtime_ns

    again = build_training_set(lake, 2).training_set
    insert(lake, numbered(range(100, 101)))
    larger = build_training_set(lake, 2).training_set

    assert again == first
    assert (folder(first) / MANIFEST).stat().st_mtime_ns == written
    assert larger.id != first.id
    assert members(first).keys() < members(larger).keys()


def test_image_never_changes_its_split(lake: Lake) -> None:
    insert(lake, numbered(range(100)))
    first = members(build_training_set(lake, 2).training_set)
    insert(lake, numbered(range(100, 300)))

    later = members(build_training_set(lake, 2).training_set)

    assert {path: later[path]["split"] for path in first} == {path: row["split"] for path, row in first.items()}


def test_split_is_fixed_when_the_lake_is_created(lake: Lake, tmp_path: Path) -> None:
    place = {"lake": str(tmp_path / "other")}
    other = Lake.open_or_create(
        lake.spark, Settings.load(**place, validation_fraction=0.3, test_fraction=0.2, split_seed=7)
    )
    images = numbered(range(1000))
    insert(lake, images)
    insert(other, images)

    here, there = (build_training_set(each, 1).training_set for each in (lake, other))

    # Four standard deviations of a binomial distribution.
    assert here.counts[SplitName.TEST] == pytest.approx(100, abs=38)
    assert there.counts[SplitName.TEST] == pytest.approx(200, abs=51)
    assert there.counts[SplitName.VALIDATION] == pytest.approx(300, abs=58)
    with pytest.raises(InputError, match=r"split: the lake .* can't be changed to"):
        Lake.open(lake.spark, Settings.load(**place, split_seed=8))
    assert Lake.open(lake.spark, Settings.load(**place)).split == Split(0.3, 0.2, 7)


@pytest.mark.parametrize(("validation", "test"), [(0.0, 0.1), (0.1, 0.0), (0.5, 0.5), (0.9, 0.2)])
def test_fraction_that_leaves_a_split_empty_is_refused(validation: float, test: float) -> None:
    with pytest.raises(InputError, match=r"^validation_fraction, test_fraction: .* Give two fractions"):
        Split(validation, test)


def test_effective_label_is_the_persons_after_class_merges(lake: Lake) -> None:
    insert(lake, numbered(range(60)))
    label(lake, {"file:/landing/0.jpg": 5})
    rows = [(1, "old", 5, "folder"), (5, "new", None, "folder"), (9, "other", None, "folder")]
    append_rows(lake, CLASSES, rows)

    made = build_training_set(lake, 1).training_set

    found = members(made)
    assert (found["file:/landing/0.jpg"]["label"], found["file:/landing/0.jpg"]["label_source"]) == (5, "studio")
    assert (found["file:/landing/3.jpg"]["label"], found["file:/landing/3.jpg"]["label_source"]) == (5, "folder")
    assert [(item.label, item.name) for item in made.classes] == [(5, "new"), (9, "other")]


def test_replaced_content_is_a_member_without_the_label_of_the_earlier_one(lake: Lake) -> None:
    insert(lake, numbered(range(60)))
    label(lake, {"file:/landing/0.jpg": 5})
    replaced = ("file:/landing/0.jpg", b"another content", 9)
    replace_image(lake, *replaced)

    made = build_training_set(lake, 1).training_set

    found = {row["path"]: row for rows in stored(made).values() for row in rows}
    assert (found[replaced[0]]["content"], found[replaced[0]]["label"]) == replaced[1:]
    assert members(made)[replaced[0]]["label_source"] == "folder"


def test_duplicate_content_is_one_member_and_with_conflicting_labels_none(lake: Lake) -> None:
    insert(lake, numbered(range(100)))
    insert(lake, [("file:/copy/a.jpg", b"content 0", 1), ("file:/copy/b.jpg", b"content 1", 9)])

    made = build_training_set(lake, 1).training_set

    contents = [row["content"] for split in stored(made).values() for row in split]
    assert contents.count(b"content 0") == 1
    assert contents.count(b"content 1") == 0
    assert made.left_out == {DUPLICATE_CONTENT: 1, CONFLICTING_LABELS: 2}


def test_interrupted_build_is_repeated(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    insert(lake, numbered(range(100)))

    def full_disk(*arguments: object) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Files, "write_text", full_disk)
        with pytest.raises(OSError, match="No space"):
            build_training_set(lake, 2)

    made = build_training_set(lake, 2).training_set

    assert sum(len(rows) for rows in stored(made).values()) == 100


def test_too_few_labeled_images_raise_an_error(lake: Lake) -> None:
    insert(lake, numbered(range(2)))

    with pytest.raises(InputError, match=r"^lake: the .* split of the 2 labeled images is empty"):
        build_training_set(lake, 1)


def test_lake_without_labeled_images_raises_an_error(lake: Lake) -> None:
    insert(lake, [("file:/landing/unlabeled.jpg", b"x", None)])

    with pytest.raises(
        InputError, match=r"^lake: the .* split of the 0 labeled images is empty\. Ingest or label more images\.$"
    ):
        build_training_set(lake, 1)


def test_report_counts_images_by_class(lake: Lake, tmp_path: Path) -> None:
    insert(lake, numbered(range(100)))

    write_report(build_training_set(lake, 1), str(tmp_path / "report.html"))

    assert "Images by class" in (tmp_path / "report.html").read_text()

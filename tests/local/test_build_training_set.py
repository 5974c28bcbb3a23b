"""A training set: the labeled images, divided by content, frozen, the same for the same members."""

import hashlib
import io
import shutil
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.build_training_set import segment_plan, segments
from components.build_training_set.build import BuildResult, build_training_set
from components.build_training_set.report import write_report
from components.build_training_set.segment_plan import Limit
from components.errors import InputError
from components.lake import Lake, Split
from components.lake.tables import CLASSES, LABELS, SEGMENTS
from components.settings import Settings
from components.spark.frames import frame
from components.storage.files import Files
from components.training_set.features import FEATURES_FOLDER
from components.training_set.manifest import (
    MANIFEST,
    MEMBERS,
    NO_MEMBER,
    SEGMENTS_FOLDER,
    Segment,
    SplitName,
    TrainingSet,
)
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


def build(lake: Lake) -> TrainingSet:
    return build_training_set(lake).training_set


def local(uri: str) -> Path:
    return Path(uri.removeprefix("file://"))


def folder(training_set: TrainingSet) -> Path:
    return local(training_set.uri)


def members(training_set: TrainingSet) -> dict[str, dict[str, Any]]:
    rows = pq.read_table(folder(training_set) / MEMBERS).to_pylist()
    assert len(rows) == len({row["path"] for row in rows})
    return {row["path"]: row for row in rows}


def segment_rows(training_set: TrainingSet, segment: Segment) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(local(training_set.segment_uri(segment.name))).to_pylist()
    assert [row["row"] for row in rows] == list(range(segment.rows))
    assert {row["segment"] for row in rows} == {segment.name}
    return rows


def stored(training_set: TrainingSet) -> dict[SplitName, list[tuple[bytes, int]]]:
    """Return the content and the label of each member, as a rank reads them."""
    labels = training_set.read_labels(training_set.segments, Files())
    return {
        split: [
            (row["content"], int(class_id))
            for segment in training_set.segments_of(split)
            for row, class_id in zip(segment_rows(training_set, segment), labels[segment.name], strict=True)
            if class_id != NO_MEMBER
        ]
        for split in SplitName
    }


def segment_files(lake: Lake) -> set[str]:
    return {path.name for path in (local(lake.root) / SEGMENTS_FOLDER).iterdir()}


def table_rows(lake: Lake) -> dict[str, dict[str, Any]]:
    return {row["name"]: row.asDict() for row in lake.read(SEGMENTS).collect()}


def test_each_labeled_image_is_in_exactly_one_split_with_its_content_and_label(lake: Lake) -> None:
    images = numbered(range(200))
    insert(lake, [*images, ("file:/landing/unlabeled.jpg", b"x", None)])

    made = build(lake)

    found = stored(made)
    assert sorted(row for rows in found.values() for row in rows) == sorted((image[1], image[2]) for image in images)
    assert set(members(made)) == {path for path, _, _ in images}
    assert {split: len(rows) for split, rows in found.items()} == made.counts
    assert [(item.index, item.label) for item in made.classes] == [(0, 1), (1, 5), (2, 9)]


def test_segments_are_of_one_split_in_hash_order_and_the_table_names_them(lake: Lake) -> None:
    insert(lake, numbered(range(400)))

    made = build(lake)

    assert [segment.split for segment in made.segments] == sorted(SplitName)
    assert segment_files(lake) == {f"{segment.name}.parquet" for segment in made.segments}
    for segment in made.segments:
        file = local(made.segment_uri(segment.name))
        metadata = pq.ParquetFile(file).metadata
        groups = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
        assert groups == segment.row_groups
        assert segment.bytes == file.stat().st_size
        row = table_rows(lake)[segment.name]
        assert row["replaced_by"] is None
        assert Segment(**{name: row[name] for name in Segment.model_fields}) == segment
    train = made.segments_of(SplitName.TRAIN)[0]
    assert train.row_groups[:-1] == [128, 128]
    order = [
        hashlib.sha256(f"0:{hashlib.sha256(row['content']).hexdigest()}".encode()).hexdigest()[::-1]
        for row in segment_rows(made, train)
    ]
    assert order == sorted(order)


@pytest.mark.slow
def test_a_split_above_the_size_of_a_segment_has_several(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    insert(lake, numbered(range(100)))
    monkeypatch.setattr(segments, "SEGMENT", Limit(bytes=100, images=10**6))

    made = build(lake)

    assert len(made.segments) > 5
    for segment in made.segments:
        assert 1 < sum(len(row["content"]) for row in segment_rows(made, segment)) <= 100
    assert sum(map(len, stored(made).values())) == 100


@pytest.mark.slow
def test_members_are_sorted_by_segment_and_row(lake: Lake) -> None:
    insert(lake, numbered(range(100)))

    made = build(lake)

    rows = pq.read_table(folder(made) / MEMBERS)
    assert rows.column_names == ["path", "content_sha256", "label", "label_source", "split", "segment", "row"]
    places = list(zip(rows["segment"].to_pylist(), rows["row"].to_pylist(), strict=True))
    assert places == sorted(places)
    hashes = {segment.name: [row["content_sha256"] for row in segment_rows(made, segment)] for segment in made.segments}
    assert rows["content_sha256"].to_pylist() == [hashes[segment][row] for segment, row in places]


def test_same_members_give_the_same_training_set(lake: Lake) -> None:
    insert(lake, numbered(range(100)))
    first = build_training_set(lake)
    manifest = (folder(first.training_set) / MANIFEST).read_bytes()

    again = build_training_set(lake)
    insert(lake, numbered(range(100, 101)))
    larger = build(lake)

    assert again.training_set == first.training_set
    assert (folder(first.training_set) / MANIFEST).read_bytes() == manifest
    assert (first.reused.images, first.added.images, first.new_segments) == (0, 100, 3)
    assert (again.reused.images, again.added.images, again.new_segments) == (100, 0, 0)
    assert larger.id != first.training_set.id
    assert members(first.training_set).keys() < members(larger).keys()


def test_a_new_label_adds_one_segment_with_its_image(lake: Lake) -> None:
    insert(lake, [*numbered(range(100)), ("file:/landing/unlabeled.jpg", b"new", None)])
    first = build(lake)
    before = {name: local(first.segments_uri).joinpath(name).stat().st_mtime_ns for name in segment_files(lake)}
    label(lake, {"file:/landing/unlabeled.jpg": 9})

    result = build_training_set(lake)

    (added,) = [segment for segment in result.training_set.segments if segment not in first.segments]
    assert [row["content"] for row in segment_rows(result.training_set, added)] == [b"new"]
    assert segment_files(lake) - before.keys() == {f"{added.name}.parquet"}
    assert {name: local(first.segments_uri).joinpath(name).stat().st_mtime_ns for name in before} == before
    assert (result.reused.images, result.added.images, result.added.bytes, result.new_segments) == (100, 1, 3, 1)
    new = members(result.training_set)
    assert {path: row for path, row in new.items() if row["segment"] != added.name} == members(first)


def test_a_new_label_of_a_person_and_a_merge_of_classes_change_only_the_members_concerned(lake: Lake) -> None:
    insert(lake, numbered(range(100)))
    append_rows(lake, CLASSES, [(1, "a", None, "folder"), (5, "b", None, "folder"), (9, "c", None, "folder")])
    first = build(lake)
    label(lake, {"file:/landing/0.jpg": 5})
    relabeled = build_training_set(lake)
    lake.spark.sql(f"UPDATE delta.`{lake.path(CLASSES)}` SET replaced_by = 5 WHERE label = 9")
    merged = build_training_set(lake)

    sets = [members(each) for each in (first, relabeled.training_set, merged.training_set)]
    changed = [{path for path in before if before[path] != after[path]} for before, after in pairwise(sets)]
    assert changed == [{"file:/landing/0.jpg"}, {path for path, _, class_id in numbered(range(100)) if class_id == 9}]
    assert relabeled.training_set.segments == merged.training_set.segments == first.segments
    assert {row["label"] for row in sets[2].values()} == {1, 5}
    for result in (relabeled, merged):
        assert (result.new_segments, result.added.images, result.reused.images) == (0, 0, 100)
    assert len({first.id, relabeled.training_set.id, merged.training_set.id}) == 3


@pytest.mark.slow
def test_an_image_without_a_label_any_more_stays_in_its_segment_as_no_member(lake: Lake) -> None:
    insert(lake, numbered(range(100)))
    first = build(lake)
    append_rows(lake, CLASSES, [(9, "c", -1, "folder")])

    second = build(lake)

    assert second.segments == first.segments
    labels = second.read_labels(second.segments, Files())
    assert Counter(int(label) for values in labels.values() for label in values) == {1: 34, 5: 33, NO_MEMBER: 33}


def test_image_never_changes_its_split(lake: Lake) -> None:
    insert(lake, numbered(range(100)))
    first = members(build(lake))
    insert(lake, numbered(range(100, 300)))

    later = members(build(lake))

    assert {path: later[path]["split"] for path in first} == {path: row["split"] for path, row in first.items()}


@pytest.mark.slow
def test_split_is_fixed_when_the_lake_is_created(lake: Lake, tmp_path: Path) -> None:
    place = {"lake": str(tmp_path / "other")}
    other = Lake.open_or_create(
        lake.spark, Settings.load(**place, validation_fraction=0.3, test_fraction=0.2, split_seed=7)
    )
    images = numbered(range(1000))
    insert(lake, images)
    insert(other, images)

    here, there = (build(each) for each in (lake, other))

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

    made = build(lake)

    found = members(made)
    assert (found["file:/landing/0.jpg"]["label"], found["file:/landing/0.jpg"]["label_source"]) == (5, "studio")
    assert (found["file:/landing/3.jpg"]["label"], found["file:/landing/3.jpg"]["label_source"]) == (5, "folder")
    assert [(item.label, item.name) for item in made.classes] == [(5, "new"), (9, "other")]


@pytest.mark.slow
def test_replaced_content_is_a_member_without_the_label_of_the_earlier_one(lake: Lake) -> None:
    insert(lake, numbered(range(60)))
    label(lake, {"file:/landing/0.jpg": 5})
    replaced = ("file:/landing/0.jpg", b"another content", 9)
    replace_image(lake, *replaced)

    made = build(lake)

    assert replaced[1:] in [row for rows in stored(made).values() for row in rows]
    assert members(made)[replaced[0]]["label_source"] == "folder"


def test_duplicate_content_is_one_member_and_with_conflicting_labels_none(lake: Lake) -> None:
    insert(lake, numbered(range(100)))
    insert(lake, [("file:/copy/a.jpg", b"content 0", 1), ("file:/copy/b.jpg", b"content 1", 9)])

    made = build_training_set(lake)

    contents = [content for rows in stored(made.training_set).values() for content, _ in rows]
    assert contents.count(b"content 0") == 1
    assert contents.count(b"content 1") == 0
    assert made.training_set.left_out == {DUPLICATE_CONTENT: 1, CONFLICTING_LABELS: 2}
    assert {reason: amount.bytes for reason, amount in made.left_out.items()} == {
        DUPLICATE_CONTENT: 9,
        CONFLICTING_LABELS: 18,
    }


@pytest.mark.slow
def test_a_build_that_ends_between_a_segment_and_its_row_is_repeated(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(lake, numbered(range(100)))

    with monkeypatch.context() as patch:
        patch.setattr(segments, "_commit", full_disk)
        with pytest.raises(OSError, match="No space"):
            build_training_set(lake)
    written = segment_files(lake)
    assert (len(written), table_rows(lake)) == (3, {})

    result = build_training_set(lake)

    assert segment_files(lake) == written
    assert len(table_rows(lake)) == 3
    assert result.added.images == sum(map(len, stored(result.training_set).values())) == 100


def test_a_build_that_ends_between_segments_and_manifest_is_repeated(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(lake, numbered(range(100)))

    with monkeypatch.context() as patch:
        patch.setattr(Files, "write_text", full_disk)
        with pytest.raises(OSError, match="No space"):
            build_training_set(lake)
    rows = table_rows(lake)
    assert len(rows) == 3

    result = build_training_set(lake)

    assert table_rows(lake) == rows
    assert (result.reused.images, result.new_segments) == (100, 0)
    assert sum(map(len, stored(result.training_set).values())) == 100


def test_a_build_that_a_full_disk_ended_goes_on_after_its_last_commit_with_the_same_segments(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(lake, numbered(range(200)))
    monkeypatch.setattr(segments, "SEGMENT", Limit(bytes=2**20, images=40))
    shutil.copytree(local(lake.root), tmp_path / "other")
    other = Lake(lake.spark, str(tmp_path / "other"))
    at_once = build(other)
    monkeypatch.setattr(segments, "_bytes_per_commit", lambda lake, new: 1)
    commits: list[str] = []
    commit = segments._commit

    def limited(lake: Lake, new: Sequence[Segment]) -> None:
        if len(commits) == 3:
            full_disk()
        commits.extend(segment.name for segment in new)
        commit(lake, new)

    with monkeypatch.context() as patch:
        patch.setattr(segments, "_commit", limited)
        with pytest.raises(OSError, match="No space"):
            build_training_set(lake)
    assert sorted(table_rows(lake)) == sorted(commits)

    result = build_training_set(lake)

    assert 0 < result.reused.images < 200
    assert result.training_set.segments == at_once.segments
    assert segment_files(lake) == segment_files(other)


def full_disk(*arguments: object) -> None:
    raise OSError("No space left on device")


@pytest.mark.slow
def test_two_builds_at_once_store_each_image_once(lake: Lake) -> None:
    insert(lake, numbered(range(100)))

    def build_in(number: int) -> BuildResult:
        # A lake of its own, as in a task of its own: the lock is a file.
        own = Lake(lake.spark, lake.root)
        if number:
            insert(own, numbered(range(100, 110)))
        return build_training_set(own)

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(build_in, range(2)))

    rows = [
        row for segment in results[1].training_set.segments for row in segment_rows(results[1].training_set, segment)
    ]
    assert len(rows) == len({row["content_sha256"] for row in rows}) == 110
    assert sum(row["rows"] for row in table_rows(lake).values()) == 110
    assert [len(members(result.training_set)) for result in results] in ([100, 110], [110, 110])


@pytest.mark.slow
def test_the_same_content_in_several_segments_is_one_member(lake: Lake) -> None:
    insert(lake, numbered(range(100)))
    first = build(lake)
    row = table_rows(lake)[first.segments[0].name]
    copy = "0" * 32
    rows = pq.read_table(local(first.segment_uri(row["name"])))
    rows = rows.set_column(0, "segment", pa.array([copy] * len(rows)))
    pq.write_table(rows, local(first.segment_uri(copy)))
    append_rows(
        lake, SEGMENTS, [tuple(({**row, "name": copy, "made_at": NOW})[name] for name in SEGMENTS.schema.names)]
    )
    insert(lake, numbered(range(100, 101)))

    second = build(lake)

    assert len(members(second)) == sum(second.counts.values()) == 101


@pytest.mark.slow
def test_many_small_segments_are_merged_with_their_features(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    insert(lake, numbered(range(60)))
    sets = [build(lake)]
    for number in range(60, 63):
        insert(lake, numbered(range(number, number + 1)))
        sets.append(build(lake))
    features = {segment.name: cache_features(lake, segment) for segment in sets[-1].segments}
    monkeypatch.setattr(segment_plan, "MAXIMUM_SMALL_SEGMENTS", 1)
    insert(lake, numbered(range(63, 64)))

    result = build_training_set(lake)

    made = result.training_set
    rows = table_rows(lake)
    replaced = {name: row["replaced_by"] for name, row in rows.items() if row["replaced_by"]}
    assert 2 <= result.merged_segments == len(replaced)
    assert all(rows[name]["replaced_by"] is None for name in replaced.values())
    assert not {segment.name for segment in made.segments} & replaced.keys()
    assert (result.reused.images, result.added.images) == (63, 1)
    for earlier in sets:
        # Earlier training sets keep their segments.
        assert sum(map(len, stored(earlier).values())) == sum(earlier.counts.values())
    assert Counter(pair for pairs in stored(made).values() for pair in pairs) == Counter(
        (content, class_id) for _, content, class_id in numbered(range(64))
    )
    for name in set(replaced.values()):
        parts = [part for part in sets[-1].segments if replaced.get(part.name) == name]
        parts.sort(key=lambda part: (rows[part.name]["made_at"], part.name))
        expected = np.concatenate([features[part.name] for part in parts])
        files = sorted((local(lake.root) / FEATURES_FOLDER / "key" / name).iterdir())
        assert np.array_equal(np.concatenate([np.load(file) for file in files]), expected)


@pytest.mark.slow
def test_a_merge_that_ends_before_its_row_is_repeated(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    insert(lake, numbered(range(60)))
    build(lake)
    insert(lake, numbered(range(60, 90)))
    build(lake)
    monkeypatch.setattr(segment_plan, "MAXIMUM_SMALL_SEGMENTS", 1)
    insert(lake, numbered(range(90, 91)))
    with monkeypatch.context() as patch:
        patch.setattr(segments, "_commit", full_disk)
        with pytest.raises(OSError, match="No space"):
            build_training_set(lake)
    before = segment_files(lake)

    made = build(lake)

    assert len(segment_files(lake) - before) == 1
    assert sum(map(len, stored(made).values())) == 91


def cache_features(lake: Lake, segment: Segment) -> np.ndarray:
    """Cache random features of a segment, and return them."""
    features = np.random.default_rng(segment.bytes).random((segment.rows, 3), np.float32)
    ends = np.cumsum(segment.row_groups)[:-1]
    for number, array in enumerate(np.split(features, ends)):
        buffer = io.BytesIO()
        np.save(buffer, array)
        lake.files.write_bytes(f"{lake.root}/{FEATURES_FOLDER}/key/{segment.name}/{number:05}.npy", buffer.getvalue())
    return features


def test_too_few_labeled_images_raise_an_error(lake: Lake) -> None:
    insert(lake, numbered(range(2)))

    with pytest.raises(InputError, match=r"^lake: the .* split of the 2 labeled images is empty"):
        build_training_set(lake)


def test_lake_without_labeled_images_raises_an_error(lake: Lake) -> None:
    insert(lake, [("file:/landing/unlabeled.jpg", b"x", None)])

    with pytest.raises(
        InputError, match=r"^lake: the .* split of the 0 labeled images is empty\. Ingest or label more images\.$"
    ):
        build_training_set(lake)


def test_report_counts_images_by_class(lake: Lake, tmp_path: Path) -> None:
    insert(lake, numbered(range(100)))

    write_report(build_training_set(lake), str(tmp_path / "report.html"))

    assert "Images by class" in (tmp_path / "report.html").read_text()

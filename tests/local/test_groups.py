"""Near-duplicates among labeled images: one split for all of them, for ever."""

import hashlib
import io
import shutil
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from components.build_training_set.build import build_training_set
from components.build_training_set.splits import add_split
from components.lake import Lake
from components.lake.tables import GROUPS
from components.preprocessing.perceptual_hash import perceptual_hash
from components.spark.frames import frame
from components.storage.files import Files
from components.training_set.groups import NEAR_LOWER_SPLIT, NEAR_TWO_SPLITS, record_groups
from components.training_set.manifest import MEMBERS, SplitName, TrainingSet
from components.training_set.membership import labeled_images
from components.training_set.near_duplicates import MAXIMUM_DISTANCE
from components.training_set.near_hashes import join_near
from components.training_set.new_labels import count_new_labels
from tests.support.lake_rows import append_images, append_rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NOW = datetime(2026, 5, 1, tzinfo=UTC)
LABEL = 1
PHOTOGRAPHS = [Image.fromarray(pixels) for pixels in load_sample_images().images]
TILES = [
    photograph.crop((left, top, left + 210, top + 140))
    for photograph in PHOTOGRAPHS
    for left in (0, 210, 420)
    for top in (0, 140, 280)
]
NUMBERS = count()


def jpeg(picture: Image.Image, quality: int = 90) -> bytes:
    """Return a picture as a JPEG that differs from every other one."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, comment=str(next(NUMBERS)).encode())
    return buffer.getvalue()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def own_split(content: bytes) -> SplitName:
    """Return the split of an image without near-duplicates, in a lake with the default split."""
    position = int(hashlib.sha256(f"0:{sha256(content)}".encode()).hexdigest()[:8], 16) / 2**32
    return SplitName.TEST if position < 0.1 else SplitName.VALIDATION if position < 0.2 else SplitName.TRAIN


def in_split(picture: Image.Image, split: SplitName, quality: int = 90) -> bytes:
    """Return a file of a picture that belongs into a split."""
    return next(content for content in (jpeg(picture, quality) for _ in count()) if own_split(content) is split)


def variants(picture: Image.Image) -> list[bytes]:
    """Return an image, re-encoded, and resized, which belong into different splits."""
    half = picture.resize((picture.width // 2, picture.height // 2))
    return [
        in_split(picture, SplitName.TRAIN),
        in_split(picture, SplitName.VALIDATION, quality=50),
        in_split(half, SplitName.TEST),
    ]


def insert(lake: Lake, contents: list[bytes]) -> None:
    append_images(lake, [(f"file:/landing/{sha256(each)}.jpg", each, LABEL) for each in contents], ingested_at=NOW)


def record(lake: Lake, images_per_commit: int = 0) -> int:
    members = add_split(labeled_images(lake).where("reason IS NULL"), lake.split)
    return record_groups(lake, members, images_per_commit)


def groups(lake: Lake) -> dict[str, dict[str, Any]]:
    rows = [row.asDict() for row in lake.read(GROUPS).collect()]
    assert len(rows) == len({row["content_sha256"] for row in rows})
    return {row["content_sha256"]: row for row in rows}


def splits(lake: Lake, contents: list[bytes]) -> list[str | None]:
    rows = groups(lake)
    return [rows[sha256(content)]["split"] for content in contents]


def members(training_set: TrainingSet) -> dict[str, str]:
    rows = pq.read_table(f"{training_set.uri.removeprefix('file://')}/{MEMBERS}").to_pylist()
    return {row["content_sha256"]: row["split"] for row in rows}


def fill(lake: Lake) -> None:
    """Insert images for each split that are near nothing."""
    insert(lake, [in_split(tile, split) for tile, split in zip(TILES[-3:], SplitName, strict=True)])


def insert_group(lake: Lake, content: bytes, bit: int, split: SplitName) -> None:
    """Insert the row of an older image that is near a content."""
    near = perceptual_hash(content)
    assert near is not None
    append_rows(lake, GROUPS, [(f"{bit:064}", near ^ 1 << bit, split.value, None, NOW)])


def test_joined_hashes_are_exactly_the_near_ones(spark: "SparkSession") -> None:
    random = Random(0)

    def signed(value: int) -> int:
        return (value + 2**63) % 2**64 - 2**63

    def flip(value: int, bits: int) -> int:
        for bit in random.sample(range(64), bits):
            value ^= 1 << bit
        return signed(value)

    left = [signed(random.getrandbits(64)) for _ in range(100)] + [0, -1, -(2**63), 2**63 - 1]
    near = [flip(value, random.randint(0, 5)) for value in left for _ in range(3)]
    right = list(dict.fromkeys([*near, *(signed(random.getrandbits(64)) for _ in range(100))]))
    expected = {
        (first, second)
        for first in left
        for second in right
        if ((first ^ second) & 2**64 - 1).bit_count() <= MAXIMUM_DISTANCE
    }

    found = join_near(
        frame(spark, [(each,) for each in left], "perceptual_hash BIGINT"),
        frame(spark, [(each,) for each in right], "near_hash BIGINT"),
    ).collect()

    assert {(row["perceptual_hash"], row["near_hash"]) for row in found} == expected
    assert len(expected) > 150
    assert any(first < 0 for first, _ in expected)


def test_near_duplicates_of_one_build_are_members_of_one_split(lake: Lake) -> None:
    fill(lake)
    families = [variants(tile) for tile in TILES[:12]]
    insert(lake, [content for family in families for content in family])

    found = members(build_training_set(lake).training_set)

    assert [len({found[sha256(content)] for content in family}) for family in families] == [1] * len(families)


def test_new_image_takes_the_split_of_its_older_near_duplicate_which_never_moves(lake: Lake) -> None:
    older = [in_split(tile, split) for tile, split in zip(TILES, SplitName, strict=False)]
    insert(lake, older)
    assert record(lake) == 3
    newer = [
        in_split(TILES[0], SplitName.TEST),
        in_split(TILES[1], SplitName.TRAIN),
        in_split(TILES[2], SplitName.TRAIN),
    ]
    insert(lake, newer)

    assert record(lake) == 3

    assert splits(lake, older) == [split.value for split in SplitName]
    assert splits(lake, newer) == [split.value for split in SplitName]
    version = lake.version(GROUPS)
    assert record(lake) == 0
    assert lake.version(GROUPS) == version


def test_image_near_two_splits_is_left_out_and_reported_and_is_no_new_label(lake: Lake) -> None:
    fill(lake)
    content = jpeg(TILES[0])
    insert(lake, [content])
    insert_group(lake, content, 3, SplitName.TRAIN)
    insert_group(lake, content, 60, SplitName.TEST)

    made = build_training_set(lake).training_set

    assert sha256(content) not in members(made)
    assert made.left_out == {NEAR_TWO_SPLITS: 1}
    assert groups(lake)[sha256(content)]["reason"] == NEAR_TWO_SPLITS
    assert count_new_labels(lake, None) == 3


def test_flat_images_keep_the_split_of_their_content(lake: Lake) -> None:
    white = Image.new("RGB", (60, 40), "white")
    contents = [in_split(white, split) for split in SplitName]
    insert(lake, contents)

    record(lake)

    assert splits(lake, contents) == [split.value for split in SplitName]
    assert [groups(lake)[sha256(each)]["perceptual_hash"] for each in contents] == [None] * 3


def test_pair_across_splits_of_earlier_training_sets_leaves_the_test_set(lake: Lake) -> None:
    pairs = [(in_split(tile, SplitName.TRAIN), in_split(tile, SplitName.TEST)) for tile in TILES[:2]]
    pairs.append((in_split(TILES[2], SplitName.TRAIN), in_split(TILES[2], SplitName.VALIDATION)))
    earlier = [content for pair in pairs for content in pair]
    insert(lake, earlier)
    lake.files.write_text(f"{lake.root}/training_sets/earlier/manifest.json", "{}")
    rows = [(sha256(content),) for content in earlier]
    lake.spark.createDataFrame(rows, "content_sha256 STRING").coalesce(1).write.parquet(
        f"{lake.root}/training_sets/earlier/{MEMBERS}"
    )
    # Not in a training set yet, so it takes the split of the training image.
    new = in_split(TILES[0], SplitName.TEST)
    insert(lake, [new])

    record(lake)

    assert splits(lake, earlier) == ["train", None] * 3
    assert [groups(lake)[sha256(higher)]["reason"] for _, higher in pairs] == [NEAR_LOWER_SPLIT] * 3
    assert splits(lake, [new]) == ["train"]


def test_slices_do_not_change_the_splits(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    insert(lake, [content for tile in TILES[:6] for content in variants(tile)])
    insert_group(lake, jpeg(TILES[0]), 3, SplitName.VALIDATION)
    insert_group(lake, jpeg(TILES[1]), 5, SplitName.TRAIN)
    insert_group(lake, jpeg(TILES[1]), 60, SplitName.TEST)
    shutil.copytree(lake.root.removeprefix("file://"), tmp_path / "other")
    other = Lake(lake.spark, str(tmp_path / "other"))
    before = lake.version(GROUPS)
    commit = Lake.append
    commits = count()

    def limited(*arguments: Any, **options: Any) -> None:
        if next(commits) == 2:
            raise OSError("No space left on device")
        commit(*arguments, **options)

    record(other)
    with monkeypatch.context() as patch:
        patch.setattr(Lake, "append", limited)
        with pytest.raises(OSError, match="No space"):
            record(lake, images_per_commit=5)
    assert lake.version(GROUPS) == before + 2
    assert 0 < record(lake, images_per_commit=5) < 18

    found, expected = groups(lake), groups(other)
    assert other.version(GROUPS) == before + 1
    assert len(found) == 21
    assert {name: (row["split"], row["reason"]) for name, row in found.items()} == {
        name: (row["split"], row["reason"]) for name, row in expected.items()
    }


def test_a_build_that_a_full_disk_ended_is_repeated_with_the_same_splits(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(lake)
    contents = variants(TILES[0])
    insert(lake, contents)

    def full_disk(*arguments: object) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Files, "write_text", full_disk)
        with pytest.raises(OSError, match="No space"):
            build_training_set(lake)
    recorded = groups(lake)

    found = members(build_training_set(lake).training_set)

    assert groups(lake) == recorded
    assert found == {name: row["split"] for name, row in recorded.items()}

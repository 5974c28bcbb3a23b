"""The division of a split's images between ranks."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from components.storage.files import Files
from components.train_classifier.rank.shards import RowGroup, Shard
from components.training_set.manifest import NO_MEMBER, Segment, SplitName, TrainingSet

# The members of each row group of each segment, as booleans.
LAYOUTS = st.lists(
    st.lists(st.lists(st.booleans(), min_size=1, max_size=6), min_size=1, max_size=5), min_size=1, max_size=5
)


def shards(layout: list[list[list[bool]]], ranks: int) -> list[Shard]:
    """Return the shards of all ranks. The class id of a member is 7."""
    segments = [
        Segment(name=f"s{number}", split=SplitName.TRAIN, row_groups=[len(rows) for rows in row_groups], bytes=1)
        for number, row_groups in enumerate(layout)
    ]
    labels = {
        segment.name: np.where(np.concatenate(row_groups), 7, NO_MEMBER).astype(np.int32)
        for segment, row_groups in zip(segments, layout, strict=True)
    }
    training_set = TrainingSet(
        id="t", uri="file:///t", segments_uri="file:///segments", classes=[], counts={}, segments=segments,
        table_versions={}, validation_fraction=0.1, test_fraction=0.1, split_seed=0, left_out={},
    )  # fmt: skip
    return [Shard.of_labels(training_set, SplitName.TRAIN, labels, rank, ranks, Files()) for rank in range(ranks)]


def images(shard: Shard) -> list[tuple[str, int]]:
    """Return the segment and row of each image of a shard."""
    return [
        (row_group.segment, row_group.first + int(row))
        for row_group in shard.row_groups
        for row in np.flatnonzero(shard.labels_of(row_group) != NO_MEMBER)
    ]


@given(layout=LAYOUTS, ranks=st.integers(1, 9))
def test_each_member_is_in_one_shard_for_any_number_of_ranks(layout: list[list[list[bool]]], ranks: int) -> None:
    made = shards(layout, ranks)

    members = [
        (f"s{number}", row)
        for number, row_groups in enumerate(layout)
        for row, is_member in enumerate(np.concatenate(row_groups))
        if is_member
    ]
    assert sorted(image for shard in made for image in images(shard)) == members
    assert [shard.image_count() for shard in made] == [len(images(shard)) for shard in made]


def test_labels_of_other_splits_do_not_change_a_shard() -> None:
    segments = [
        Segment(name=split.value, split=split, row_groups=[5], bytes=1)
        for split in (SplitName.TRAIN, SplitName.VALIDATION)
    ]
    training_set = TrainingSet(
        id="t", uri="file:///t", segments_uri="file:///segments", classes=[], counts={}, segments=segments,
        table_versions={}, validation_fraction=0.1, test_fraction=0.1, split_seed=0, left_out={},
    )  # fmt: skip
    labels = {segment.name: np.full(5, 7, np.int32) for segment in segments}

    made = [Shard.of_labels(training_set, SplitName.VALIDATION, labels, rank, 2, Files()) for rank in range(2)]

    # There are fewer row groups than ranks, so the images are divided one by one.
    assert [images(shard) for shard in made] == [[("validation", row) for row in rows] for rows in ([0, 2, 4], [1, 3])]
    assert [list(shard.labels) for shard in made] == [["validation"]] * 2


@given(layout=LAYOUTS, ranks=st.integers(1, 9))
def test_shards_differ_by_at_most_one_row_group(layout: list[list[list[bool]]], ranks: int) -> None:
    counts = [shard.image_count() for shard in shards(layout, ranks)]

    members = [sum(rows) for row_groups in layout for rows in row_groups]
    # Ranks that share all row groups get every n-th image.
    allowed = 1 if sum(count > 0 for count in members) < ranks else max(members)
    assert max(counts) - min(counts) <= allowed


@given(layout=LAYOUTS, ranks=st.integers(1, 9))
def test_features_of_each_row_group_with_members_are_computed_by_one_rank(
    layout: list[list[list[bool]]], ranks: int
) -> None:
    computed = Counter(
        (each.segment, each.number) for shard in shards(layout, ranks) for each in shard.computed_row_groups
    )

    assert computed == Counter(
        (f"s{number}", position)
        for number, row_groups in enumerate(layout)
        for position, rows in enumerate(row_groups)
        if any(rows)
    )


def test_row_groups_without_images_of_the_shard_are_not_read() -> None:
    (shard,) = shards([[[True, False], [False], [True]]], ranks=1)

    assert shard.row_groups == [RowGroup("s0", 0, 0, 2), RowGroup("s0", 2, 3, 1)]

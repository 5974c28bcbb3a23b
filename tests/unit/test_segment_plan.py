"""The images of segments and row groups, and the segments that are merged."""

import itertools
from collections.abc import Sequence

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from components.build_training_set.segment_plan import (
    MAXIMUM_SMALL_SEGMENTS,
    SEGMENT,
    SMALL_BYTES,
    Limit,
    cut,
    plan_merges,
    segment_name,
)
from components.training_set.manifest import Segment, SplitName

SIZES = st.lists(st.integers(0, 40), max_size=60)
LIMITS = st.builds(Limit, bytes=st.integers(1, 60), images=st.integers(1, 8))


def pieces(sizes: Sequence[int], limit: Limit, batch_rows: int) -> list[list[int]]:
    """Return the sizes of the images of each piece."""
    table = pa.table({"size": pa.array(sizes, pa.int64())})
    found = cut(table.to_batches(batch_rows), lambda batch: batch["size"].to_pylist(), limit)
    return [piece["size"].to_pylist() for piece in found]


@given(SIZES, LIMITS, st.integers(1, 70))
def test_pieces_have_all_images_in_order_within_the_limit(sizes: list[int], limit: Limit, batch_rows: int) -> None:
    found = pieces(sizes, limit, batch_rows)

    assert [size for piece in found for size in piece] == sizes
    for piece in found:
        assert len(piece) == 1 or sum(piece) <= limit.bytes
        assert 1 <= len(piece) <= limit.images


@given(SIZES, LIMITS, st.integers(1, 70))
def test_a_piece_ends_only_where_the_next_image_exceeds_the_limit(
    sizes: list[int], limit: Limit, batch_rows: int
) -> None:
    found = pieces(sizes, limit, batch_rows)

    for piece, following in itertools.pairwise(found):
        assert sum(piece) + following[0] > limit.bytes or len(piece) == limit.images


@given(SIZES, SIZES, LIMITS)
def test_later_images_change_only_the_last_piece(sizes: list[int], later: list[int], limit: Limit) -> None:
    complete = pieces(sizes, limit, 7)[:-1]

    assert pieces(sizes + later, limit, 7)[: len(complete)] == complete


def test_the_name_of_a_segment_depends_on_its_split_its_images_and_their_order() -> None:
    names = [
        segment_name(SplitName.TRAIN, ["a", "b"]),
        segment_name(SplitName.TRAIN, ["b", "a"]),
        segment_name(SplitName.TEST, ["a", "b"]),
        segment_name(SplitName.TRAIN, ["a"]),
    ]

    assert len(set(names)) == len(names)
    assert segment_name(SplitName.TRAIN, iter(["a", "b"])) == names[0]


def segment(number: int, split: SplitName, size: int) -> Segment:
    return Segment(name=f"{split}-{number}", split=split, row_groups=[1], bytes=size)


@given(
    st.lists(st.integers(1, 2 * SMALL_BYTES), min_size=MAXIMUM_SMALL_SEGMENTS, max_size=3 * MAXIMUM_SMALL_SEGMENTS),
    st.lists(st.integers(1, SMALL_BYTES - 1), max_size=MAXIMUM_SMALL_SEGMENTS),
)
def test_many_small_segments_become_few_that_are_no_larger_than_a_segment_may_be(
    sizes: list[int], of_test: list[int]
) -> None:
    train = [segment(number, SplitName.TRAIN, size) for number, size in enumerate(sizes)]
    small = [each for each in train if each.bytes < SMALL_BYTES]

    groups = plan_merges([*train, *(segment(number, SplitName.TEST, size) for number, size in enumerate(of_test))])

    merged = [each for group in groups for each in group]
    assert bool(groups) == (len(small) > MAXIMUM_SMALL_SEGMENTS)
    assert all(len(group) > 1 and sum(each.bytes for each in group) <= SEGMENT.bytes for group in groups)
    # Each once, in their order, and no other.
    assert merged == [each for each in small if each in merged]
    after = [each for each in small if each not in merged]
    after += [segment(0, SplitName.TRAIN, sum(each.bytes for each in group)) for group in groups]
    assert sum(each.bytes < SMALL_BYTES for each in after) <= MAXIMUM_SMALL_SEGMENTS

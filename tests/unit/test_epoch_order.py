"""The order of a rank's images in an epoch."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.train_classifier.rank.order import Block, block_order, shuffled


def epoch(sizes: list[int], seed: int | None, number: int) -> list[int]:
    """Return the order of the images of blocks of given sizes. Images are numbered in the order of the blocks."""
    ends = np.cumsum(sizes)
    blocks = ((np.arange(ends[each] - sizes[each], ends[each]),) for each in block_order(len(sizes), seed, number))
    return [int(image) for (images,) in shuffled(blocks, seed, number) for image in images]


@given(
    sizes=st.lists(st.integers(0, 9), max_size=12), seed=st.integers(0, 2**31) | st.none(), number=st.integers(0, 99)
)
def test_each_image_occurs_once_in_an_epoch(sizes: list[int], seed: int | None, number: int) -> None:
    assert sorted(epoch(sizes, seed, number)) == list(range(sum(sizes)))


def test_order_depends_on_seed_and_epoch_only() -> None:
    sizes = [8] * 20

    assert epoch(sizes, 3, 5) == epoch(sizes, 3, 5)
    assert epoch(sizes, 3, 5) != epoch(sizes, 3, 6)
    assert epoch(sizes, 3, 5) != epoch(sizes, 4, 5)
    assert block_order(20, 3, 5).tolist() != block_order(20, 3, 6).tolist()


def test_without_seed_images_keep_their_order() -> None:
    assert epoch([3, 1, 4], None, 7) == list(range(8))


def test_images_of_a_block_are_spread_over_others() -> None:
    order = np.array(epoch([100] * 50, 0, 0))

    positions = np.flatnonzero(order // 100 == order[0] // 100)
    assert np.ptp(positions) > 200


@pytest.mark.parametrize("seed", [0, None])
def test_few_blocks_are_in_memory(seed: int | None) -> None:
    read = 0

    def blocks() -> Iterator[Block]:
        nonlocal read
        for number in range(50):
            read += 1
            yield (np.full(10, number),)

    for returned, _ in enumerate(shuffled(blocks(), seed, 0)):
        assert read - returned <= 5

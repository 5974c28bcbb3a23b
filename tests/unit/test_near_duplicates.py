"""Near-duplicates: each near pair is found, and members of one are never in two splits."""

from collections.abc import Sequence
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.training_set import near_duplicates
from components.training_set.near_duplicates import (
    LEFT_OUT,
    MAXIMUM_DISTANCE,
    TEST,
    TRAIN,
    VALIDATION,
    Hashes,
    assign_splits,
    lowest_near_splits,
    near_pairs,
)

_MASK = 2**64 - 1
SPLITS = (TRAIN, VALIDATION, TEST)
# Drawing each bit with Hypothesis takes too long on a busy machine.
RANDOM = st.integers(0, 2**32 - 1).map(Random)


def distance(first: int, second: int) -> int:
    return ((first ^ second) & _MASK).bit_count()


def is_near(first: int, second: int) -> bool:
    return distance(first, second) <= MAXIMUM_DISTANCE


def flip(value: int, bits: Sequence[int]) -> int:
    """Return a signed 64-bit integer with some bits inverted."""
    for bit in bits:
        value ^= 1 << bit
    return (value + 2**63) % 2**64 - 2**63


def draw_clusters(random: Random) -> list[int]:
    """Return distinct hashes, many of which are near each other."""
    centers = [random.getrandbits(64) for _ in range(random.randint(1, 3))]
    changes = ((random.choice(centers), random.sample(range(64), random.randint(0, 5))) for _ in range(24))
    return list(dict.fromkeys(flip(center, bits) for center, bits in changes))


def draw_splits(random: Random, hashes: Sequence[int]) -> dict[int, int]:
    """Return hashes in their order, with any splits."""
    return {value: random.choice(SPLITS) for value in hashes}


def array(hashes: Sequence[int]) -> Hashes:
    return np.array(hashes, np.int64)


def assign(new: dict[int, int], older: dict[int, int]) -> dict[int, int]:
    """Return the splits of new hashes in their order; values are splits."""
    found = assign_splits(
        array(list(new)),
        np.array(list(new.values()), np.int8),
        array(list(older)),
        np.array([1 << split for split in older.values()], np.uint8),
    )
    return dict(zip(new, found.tolist(), strict=True))


@given(RANDOM, st.integers(0, MAXIMUM_DISTANCE))
def test_two_hashes_within_the_distance_are_a_pair(random: Random, bits: int) -> None:
    value = flip(random.getrandbits(64), [])

    assert near_pairs(array([value]), array([flip(value, random.sample(range(64), bits))])).tolist() == [[0, 0]]


@given(RANDOM)
def test_pairs_are_exactly_the_near_ones(random: Random) -> None:
    left, right = draw_clusters(random), draw_clusters(random)
    right += [flip(value, [random.randrange(64)]) for value in left]
    right = list(dict.fromkeys(right))
    expected = [[i, j] for i, first in enumerate(left) for j, second in enumerate(right) if is_near(first, second)]

    assert near_pairs(array(left), array(right)).tolist() == expected


def test_hashes_that_share_a_band_are_compared_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = array([flip(0, [bit]) for bit in range(16)] + [flip(0, [bit, 63]) for bit in range(40)])
    expected = near_pairs(hashes, hashes).tolist()

    monkeypatch.setattr(near_duplicates, "_CANDIDATES", 5)

    assert len(expected) > 500
    assert near_pairs(hashes, hashes).tolist() == expected


@given(RANDOM)
def test_images_get_splits_as_if_they_came_one_by_one(random: Random) -> None:
    hashes = draw_clusters(random)
    new = draw_splits(random, hashes)
    older = draw_splits(random, [flip(value, [random.randrange(64)]) for value in hashes[::4]])
    members, expected = dict(older), {}
    for value, own in new.items():
        near = {split for member, split in members.items() if is_near(value, member)}
        expected[value] = own if not near else near.pop() if len(near) == 1 else LEFT_OUT
        if expected[value] != LEFT_OUT:
            members[value] = expected[value]

    assert assign(new, older) == expected


@given(RANDOM)
def test_no_near_pair_is_in_two_splits(random: Random) -> None:
    members: dict[int, int] = {}
    hashes = draw_clusters(random)
    for batch in (hashes[::3], hashes[1::3], hashes[2::3]):
        added = assign(draw_splits(random, batch), members)
        members |= {value: split for value, split in added.items() if split != LEFT_OUT}

    assert all(members[a] == members[b] for a in members for b in members if is_near(a, b))


@given(RANDOM)
def test_older_images_do_not_depend_on_their_order(random: Random) -> None:
    hashes = draw_clusters(random)
    older, new = draw_splits(random, hashes[::2]), draw_splits(random, hashes)
    shuffled = dict(random.sample(list(older.items()), len(older)))

    assert assign(new, older) == assign(new, shuffled)


@given(RANDOM)
def test_lowest_split_is_that_of_all_near_images(random: Random) -> None:
    hashes = draw_clusters(random)
    sets = np.array([random.randint(1, 7) for _ in hashes], np.uint8)

    found = lowest_near_splits(array(hashes), sets).tolist()

    for value, lowest in zip(hashes, found, strict=True):
        near = [int(splits) for other, splits in zip(hashes, sets, strict=True) if is_near(value, other)]
        assert lowest == min(split for splits in near for split in SPLITS if splits & 1 << split)

"""Near-duplicates: members of a near pair are never in two splits."""

from collections.abc import Sequence
from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from components.training_set.near_duplicates import (
    LEFT_OUT,
    MAXIMUM_DISTANCE,
    TEST,
    TRAIN,
    VALIDATION,
    assign_splits,
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


def assign(new: dict[int, int], older: dict[int, int]) -> dict[int, int]:
    """Return the splits of new hashes in their order; values are splits."""
    near = [{1 << split for member, split in older.items() if is_near(value, member)} for value in new]
    hashes = list(new)
    pairs = [(i, j) for i in range(len(hashes)) for j in range(i) if is_near(hashes[i], hashes[j])]
    found = assign_splits(
        np.array(list(new.values()), np.int8),
        np.array([sum(bits) for bits in near], np.uint8),
        np.array(pairs, np.int64).reshape(-1, 2),
    )
    return dict(zip(new, found.tolist(), strict=True))


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

"""Find near-duplicates by their perceptual hashes, and keep them in one split.

Hashes of 64 bits are arrays of int64. A split is a number, `TRAIN`, `VALIDATION` or `TEST`, or `LEFT_OUT`. A set of
splits is a uint8 with the bit `1 << split` for each of them.
"""

from collections.abc import Iterator
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Hashes: TypeAlias = npt.NDArray[np.int64]
Splits: TypeAlias = npt.NDArray[np.int8]
SplitSets: TypeAlias = npt.NDArray[np.uint8]
Indices: TypeAlias = npt.NDArray[np.int64]

TRAIN: Final = 0
VALIDATION: Final = 1
TEST: Final = 2
LEFT_OUT: Final = -1

# Most re-encoded and resized photographs differ in no bit or in two, distinct ones in about 32.
MAXIMUM_DISTANCE: Final = 3
# Two hashes that differ in three bits are equal in at least one of four bands.
_BAND = np.dtype("<u2")
_BANDS: Final = MAXIMUM_DISTANCE + 1
# Pairs that are compared at once, unless one hash has more candidates. Each takes about 80 bytes.
_CANDIDATES: Final = 1_000_000

# For each set of splits: its only split, or `LEFT_OUT` if it has several or none; and its lowest split.
_ONLY_SPLIT: Splits = np.array([LEFT_OUT, 0, 1, LEFT_OUT, 2, LEFT_OUT, LEFT_OUT, LEFT_OUT], np.int8)
_LOWEST_SPLIT: Splits = np.array([LEFT_OUT, 0, 1, 0, 2, 0, 1, 0], np.int8)


def near_pairs(left: Hashes, right: Hashes) -> Indices:
    """Return the pairs of near hashes.

    Only hashes with an equal band are compared: 10,000 with a million in 0.3 s. If many hashes share a band, the time
    grows with the product of their numbers (50 million comparisons a second), and the memory does not. At most 43,745
    hashes are near one.

    Args:
        left: Hashes of shape (m,), each once.
        right: Hashes of shape (n,), each once.

    Returns:
        Array of shape (pairs, 2) of indices into `left` and `right`, sorted. Equal hashes are a pair.
    """
    found = [np.empty((0, 2), np.int64)]
    for band in range(_BANDS):
        for first, second in _equal_bands(_bands(left)[:, band], _bands(right)[:, band]):
            # Of a negative number, `bitwise_count` counts the bits of its absolute value.
            difference = (left[first] ^ right[second]).view(np.uint64)
            is_near = np.bitwise_count(difference) <= MAXIMUM_DISTANCE
            found.append(np.column_stack((first[is_near], second[is_near])))
    pairs: Indices = np.unique(np.concatenate(found), axis=0)
    return pairs


def assign_splits(hashes: Hashes, own: Splits, older: Hashes, older_splits: SplitSets) -> Splits:
    """Return the split of each new image, as if the images had come one after the other.

    An image takes the split of the earlier images that are near: of older ones, and of new ones that precede it. If
    they have two splits, it is left out. Without any, it keeps its own.

    Args:
        hashes: Hashes of new images in their order, int64 of shape (n,), each once.
        own: Their splits by a hash of their content, int8 of shape (n,).
        older: Hashes of older images, int64 of shape (m,), each once.
        older_splits: Splits of the older images with each hash, uint8 of shape (m,), not empty.

    Returns:
        Splits or `LEFT_OUT`, int8 of shape (n,).
    """
    near = np.zeros(len(hashes), np.uint8)
    pairs = near_pairs(hashes, older)
    np.bitwise_or.at(near, pairs[:, 0], older_splits[pairs[:, 1]])
    splits: Splits = np.where(near == 0, own, _ONLY_SPLIT[near]).astype(np.int8)
    pairs = near_pairs(hashes, hashes)
    for image, earlier in _groups(pairs[pairs[:, 1] < pairs[:, 0]]):
        # All earlier ones have their final split: the groups are in the order of their image.
        members = splits[earlier]
        near[image] |= np.bitwise_or.reduce(np.left_shift(1, members[members != LEFT_OUT]), initial=0)
        if near[image]:
            splits[image] = _ONLY_SPLIT[near[image]]
    return splits


def lowest_near_splits(hashes: Hashes, splits: SplitSets) -> Splits:
    """Return the lowest split among the images that are near each hash, its own images included.

    Args:
        hashes: Hashes of shape (n,), each once.
        splits: Splits of the images with each hash, uint8 of shape (n,), not empty.

    Returns:
        Splits, int8 of shape (n,).
    """
    near = splits.copy()
    pairs = near_pairs(hashes, hashes)
    np.bitwise_or.at(near, pairs[:, 0], splits[pairs[:, 1]])
    lowest: Splits = _LOWEST_SPLIT[near]
    return lowest


def _bands(hashes: Hashes) -> npt.NDArray[np.uint16]:
    """Return the bands of hashes, uint16 of shape (hashes, 4)."""
    return np.ascontiguousarray(hashes).view(_BAND).reshape(-1, _BANDS)


def _equal_bands(left: npt.NDArray[np.uint16], right: npt.NDArray[np.uint16]) -> Iterator[tuple[Indices, Indices]]:
    """Yield the indices of equal values, some million pairs at a time."""
    order = np.argsort(right, kind="stable")
    values = right[order]
    start = np.searchsorted(values, left, "left")
    counts = np.searchsorted(values, left, "right") - start
    ends = np.cumsum(counts)
    position = 0
    while position < len(left):
        done = ends[position - 1] if position else 0
        end = max(position + 1, int(np.searchsorted(ends, done + _CANDIDATES, "right")))
        chunk = counts[position:end]
        first = np.repeat(np.arange(position, end), chunk)
        # The places of a value's occurrences follow each other.
        offsets = np.arange(len(first)) - np.repeat(ends[position:end] - chunk - done, chunk)
        yield first, order[np.repeat(start[position:end], chunk) + offsets]
        position = end


def _groups(pairs: Indices) -> Iterator[tuple[int, Indices]]:
    """Yield each first index of sorted pairs with its second indices."""
    if len(pairs):
        images, starts = np.unique(pairs[:, 0], return_index=True)
        yield from zip(images.tolist(), np.split(pairs[:, 1], starts[1:]), strict=True)

"""Keep near-duplicates in one split.

A split is a number, `TRAIN`, `VALIDATION` or `TEST`, or `LEFT_OUT`. A set of splits is a uint8 with the bit
`1 << split` for each of them.
"""

from collections.abc import Iterator
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Splits: TypeAlias = npt.NDArray[np.int8]
SplitSets: TypeAlias = npt.NDArray[np.uint8]
Indices: TypeAlias = npt.NDArray[np.int64]

TRAIN: Final = 0
VALIDATION: Final = 1
TEST: Final = 2
LEFT_OUT: Final = -1

# Most re-encoded and resized photographs differ in no bit or in two, distinct ones in about 32.
MAXIMUM_DISTANCE: Final = 3

# For each set of splits: its only split, or `LEFT_OUT` if it has several or none.
_ONLY_SPLIT: Splits = np.array([LEFT_OUT, 0, 1, LEFT_OUT, 2, LEFT_OUT, LEFT_OUT, LEFT_OUT], np.int8)


def assign_splits(own: Splits, older: SplitSets, pairs: Indices) -> Splits:
    """Return the split of each new image, as if the images had come one after the other.

    An image takes the split of the earlier images that are near: of older ones, and of new ones that precede it. If
    they have two splits, it is left out. Without any, it keeps its own.

    Args:
        own: Splits of new images by a hash of their content, in the order of the images; int8 of shape (n,).
        older: Splits of the older images that are near each new one, uint8 of shape (n,).
        pairs: Positions of each new image and of a preceding one that is near, int64 of shape (pairs, 2), ascending
            by the first position.

    Returns:
        Splits or `LEFT_OUT`, int8 of shape (n,).
    """
    near = older.copy()
    splits: Splits = np.where(near == 0, own, _ONLY_SPLIT[near]).astype(np.int8)
    for image, earlier in _groups(pairs):
        # All earlier ones have their final split: the groups are in the order of their image.
        members = splits[earlier]
        near[image] |= np.bitwise_or.reduce(np.left_shift(1, members[members != LEFT_OUT]), initial=0)
        if near[image]:
            splits[image] = _ONLY_SPLIT[near[image]]
    return splits


def _groups(pairs: Indices) -> Iterator[tuple[int, Indices]]:
    """Yield each first index of sorted pairs with its second indices."""
    if len(pairs):
        images, starts = np.unique(pairs[:, 0], return_index=True)
        yield from zip(images.tolist(), np.split(pairs[:, 1], starts[1:]), strict=True)

"""The order of a rank's images in an epoch.

It depends on the seed and the number of the epoch only, so a resumed training sees the same order.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

# Arrays of equal length, e.g. the contents and the class indices of some images.
Block = tuple[npt.NDArray[Any], ...]

# Number of blocks in memory among which images are shuffled. A block is a row group, of about 128 images or 8 MiB.
_BUFFERED_BLOCKS = 4


def block_order(blocks: int, seed: int | None, epoch: int) -> npt.NDArray[np.int64]:
    """Return the order of the blocks in an epoch.

    Args:
        blocks: Number of blocks.
        seed: Seed of the order, from 0; None keeps the order of the blocks.
        epoch: Number of the epoch, from 0.
    """
    return np.arange(blocks) if seed is None else np.random.default_rng((seed, epoch)).permutation(blocks)


def shuffled(blocks: Iterable[Block], seed: int | None, epoch: int) -> Iterator[Block]:
    """Shuffle the images of consecutive blocks.

    Args:
        blocks: The blocks, in the order of the epoch.
        seed: Seed of the order, from 0; None keeps the order of the images.
        epoch: Number of the epoch, from 0.

    Yields:
        Blocks of other images, in total each image once. Only a few blocks are in memory at a time.
    """
    if seed is None:
        yield from blocks
        return
    generator = np.random.default_rng((seed, epoch, 1))
    pool: Block | None = None
    sizes: list[int] = []
    for block in blocks:
        pool = block if pool is None else _concatenate(pool, block)
        sizes.append(len(block[0]))
        if len(sizes) == _BUFFERED_BLOCKS:
            pool = _permute(pool, generator)
            size = sizes.pop(0)
            yield _take(pool, slice(None, size))
            pool = _take(pool, slice(size, None))
    if pool is not None:
        yield _permute(pool, generator)


def _concatenate(first: Block, second: Block) -> Block:
    return tuple(np.concatenate(pair) for pair in zip(first, second, strict=True))


def _permute(block: Block, generator: np.random.Generator) -> Block:
    return _take(block, generator.permutation(len(block[0])))


def _take(block: Block, rows: Any) -> Block:
    return tuple(array[rows] for array in block)

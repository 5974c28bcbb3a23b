"""Decide which images form a segment or a row group, and which small segments are merged. All functions are pure."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from components.training_set.manifest import Segment, SplitName

# Segments below this size are small. More small segments of a split than the maximum are merged.
SMALL_BYTES = 64 * 2**20
MAXIMUM_SMALL_SEGMENTS = 32


@dataclass(frozen=True)
class Limit:
    """The maximum size of a segment or a row group. A single image may exceed it.

    Attributes:
        bytes: Bytes of the images.
        images: Number of images.
    """

    bytes: int
    images: int


SEGMENT = Limit(bytes=256 * 2**20, images=10**6)
# A rank that reads one image reads its row group.
ROW_GROUP = Limit(bytes=8 * 2**20, images=128)


def cut(
    batches: Iterable[pa.RecordBatch], sizes: Callable[[pa.RecordBatch], Sequence[int]], limit: Limit
) -> Iterator[pa.Table]:
    """Cut a sequence of images into the fewest pieces of neighbors, none of which exceeds a limit.

    A piece ends before the first image that would exceed the limit, so later images do not change it.

    Args:
        batches: Images in their order.
        sizes: Returns the bytes of each image of a batch.
        limit: The limit of a piece.

    Yields:
        Pieces, which have at least one image.
    """
    piece: list[pa.RecordBatch] = []
    total = images = 0
    for batch in batches:
        start = 0
        for row, size in enumerate(sizes(batch)):
            if images and (total + size > limit.bytes or images == limit.images):
                yield pa.Table.from_batches([*piece, batch.slice(start, row - start)])
                piece, start, total, images = [], row, 0, 0
            total += size
            images += 1
        piece.append(batch.slice(start))
    if images:
        yield pa.Table.from_batches(piece)


def segment_name(split: SplitName, hashes: Iterable[str]) -> str:
    """Return the name of a segment: a hash of its split and its images.

    Args:
        split: Split of the images.
        hashes: Content hashes of the images, in their order.
    """
    digest = hashlib.sha256(split.encode())
    for content_sha256 in hashes:
        digest.update(content_sha256.encode())
    return digest.hexdigest()[:32]


def plan_merges(segments: Iterable[Segment]) -> list[list[Segment]]:
    """Return the segments to merge, in groups that become one segment each.

    Only splits with many small segments have groups. A group is not larger than a segment may be. So the small segments
    become few, and each image is copied a few times at most.

    Args:
        segments: Segments in the order of their age.

    Returns:
        Groups of at least two small segments of one split, in their order.
    """
    groups = []
    for split in SplitName:
        small = [segment for segment in segments if segment.split is split and segment.bytes < SMALL_BYTES]
        if len(small) > MAXIMUM_SMALL_SEGMENTS:
            groups += [group for group in _pack(small) if len(group) > 1]
    return groups


def _pack(segments: Iterable[Segment]) -> Iterator[list[Segment]]:
    group: list[Segment] = []
    for segment in segments:
        if group and sum(each.bytes for each in [*group, segment]) > SEGMENT.bytes:
            yield group
            group = []
        group.append(segment)
    if group:
        yield group

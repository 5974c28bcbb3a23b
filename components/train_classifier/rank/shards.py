"""Divide the images of a split between ranks, by row groups of its segments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.storage.files import Files
from components.training_set.manifest import NO_MEMBER, Segment, SplitName, TrainingSet

Labels = npt.NDArray[np.int32]


@dataclass(frozen=True)
class RowGroup:
    """A row group of a segment.

    Attributes:
        segment: Name of the segment.
        number: Position in the segment's file, from 0.
        first: Row of the segment that is its first one.
        rows: Number of rows.
    """

    segment: str
    number: int
    first: int
    rows: int


@dataclass(frozen=True)
class Shard:
    """The images of one split that one rank trains on.

    Attributes:
        segments: All segments of the split.
        uris: URI of the file of each segment, by name.
        labels: Class id of each row, by segment. A row that is not of this shard has `NO_MEMBER`.
        row_groups: Row groups with images of this shard, in the order of the segments.
        computed_row_groups: Row groups whose features this rank computes. Each row group with members of the training
            set is computed by exactly one rank.
        files: Access to the files.
    """

    segments: Sequence[Segment]
    uris: Mapping[str, str]
    labels: Mapping[str, Labels]
    row_groups: Sequence[RowGroup]
    computed_row_groups: Sequence[RowGroup]
    files: Files

    @classmethod
    def of(cls, training_set: TrainingSet, split: SplitName, rank: int, ranks: int, files: Files) -> "Shard":
        """Return a rank's shard of a split.

        A rank gets whole row groups. If there are fewer row groups than ranks, all ranks read all row groups, and rank
        r gets the images r, r + ranks, r + 2 * ranks and so on.

        Args:
            training_set: The training set.
            split: The split.
            rank: Number of the rank, from 0.
            ranks: Number of ranks.
            files: Access to the training set's files.
        """
        labels = training_set.read_labels(training_set.segments_of(split), files)
        return cls.of_labels(training_set, split, labels, rank, ranks, files)

    @classmethod
    def of_labels(
        cls,
        training_set: TrainingSet,
        split: SplitName,
        labels: Mapping[str, Labels],
        rank: int,
        ranks: int,
        files: Files,
    ) -> "Shard":
        """Return a rank's shard like `of`.

        Args:
            training_set: The training set.
            split: The split.
            labels: Class id of each row of the split's segments, and `NO_MEMBER` for rows that are no members. Other
                splits' segments are ignored.
            rank: Number of the rank, from 0.
            ranks: Number of ranks.
            files: Access to the training set's files.
        """
        segments = training_set.segments_of(split)
        labels = {segment.name: labels[segment.name] for segment in segments}
        row_groups = [each for each in _row_groups(segments) if _count(labels, each)]
        if len(row_groups) < ranks:
            labels = _slice(labels, rank, ranks)
            own = [each for each in row_groups if _count(labels, each)]
            computed = row_groups[rank::ranks]
        else:
            counts = [_count(labels, each) for each in row_groups]
            own = [row_groups[position] for position in divide(counts, ranks)[rank]]
            computed = own
        uris = {segment.name: training_set.segment_uri(segment.name) for segment in segments}
        return cls(segments, uris, labels, own, computed, files)

    def labels_of(self, row_group: RowGroup) -> Labels:
        """Return the class ids of a row group's rows; `NO_MEMBER` for rows that are not of this shard."""
        return _labels_of(self.labels, row_group)

    def image_count(self) -> int:
        """Return the number of images of this shard."""
        return sum(_count(self.labels, each) for each in self.row_groups)


def divide(images: Sequence[int], ranks: int) -> list[list[int]]:
    """Divide row groups between ranks.

    The largest row groups come first, and each goes to the rank that has the fewest images so far. So the numbers of
    images of two ranks differ by at most the images of one row group.

    Args:
        images: Number of images of each row group.
        ranks: Number of ranks.

    Returns:
        Positions of each rank's row groups, ascending.
    """
    shares: list[list[int]] = [[] for _ in range(ranks)]
    totals = [0] * ranks
    for position in sorted(range(len(images)), key=lambda position: (-images[position], position)):
        rank = totals.index(min(totals))
        shares[rank].append(position)
        totals[rank] += images[position]
    return [sorted(share) for share in shares]


def _row_groups(segments: Sequence[Segment]) -> list[RowGroup]:
    row_groups = []
    for segment in segments:
        first = 0
        for number, rows in enumerate(segment.row_groups):
            row_groups.append(RowGroup(segment.name, number, first, rows))
            first += rows
    return row_groups


def _slice(labels: Mapping[str, Labels], rank: int, ranks: int) -> dict[str, Labels]:
    """Return the labels with every image of another rank set to `NO_MEMBER`."""
    sliced = {}
    before = 0
    for name, values in labels.items():
        members = np.flatnonzero(values != NO_MEMBER)
        own = members[(np.arange(len(members)) + before) % ranks == rank]
        sliced[name] = np.full_like(values, NO_MEMBER)
        sliced[name][own] = values[own]
        before += len(members)
    return sliced


def _labels_of(labels: Mapping[str, Labels], row_group: RowGroup) -> Labels:
    return labels[row_group.segment][row_group.first : row_group.first + row_group.rows]


def _count(labels: Mapping[str, Labels], row_group: RowGroup) -> int:
    return int(np.count_nonzero(_labels_of(labels, row_group) != NO_MEMBER))

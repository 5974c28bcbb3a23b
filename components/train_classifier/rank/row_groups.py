"""Read row groups of segments with Petastorm, each epoch in its own order."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from threading import Event, Semaphore, Thread
from typing import Any

import numpy as np
import numpy.typing as npt
from petastorm.arrow_reader_worker import ArrowReaderWorker
from petastorm.fs_utils import get_filesystem_and_path_or_paths
from petastorm.reader import Reader
from petastorm.workers_pool.thread_pool import ThreadPool
from petastorm.workers_pool.ventilator import Ventilator

from components.train_classifier.rank.old_filesystem import OldFileSystem
from components.train_classifier.rank.shards import RowGroup, Shard

# Number of row groups that are read ahead of the one in use.
_READ_AHEAD = 2

# Petastorm takes patterns. Without `$`, it warns that `content` is also the start of `content_sha256`.
_COLUMNS = ["segment$", "row$", "content$"]


@dataclass(frozen=True)
class Rows:
    """The rows of a row group.

    Attributes:
        row_group: The row group.
        contents: Files of the images, shape (rows,).
    """

    row_group: RowGroup
    contents: npt.NDArray[np.object_]


class RowGroupReader:
    """Reads row groups with one Petastorm reader for all epochs.

    Args:
        shard: The shard, for its segments and the access to their files.
        row_groups: The row groups, at least one.
        order: Function that returns the order of the row groups in an epoch, as positions.
    """

    def __init__(
        self, shard: Shard, row_groups: Sequence[RowGroup], order: Callable[[int], npt.NDArray[np.int64]]
    ) -> None:
        self._shard = shard
        self._row_groups = row_groups
        self._order = order
        self._reader: _EpochReader | None = None
        self._next_epoch = 0

    def read(self, epoch: int) -> Iterator[Rows]:
        """Yield the rows of all row groups, in the order of an epoch.

        Consecutive epochs share a reader. After an interrupted epoch, or before another one, the files are opened anew.

        Args:
            epoch: Number of the epoch, from 0.

        Raises:
            ValueError: A segment's file does not have the rows that the manifest lists.
        """
        if self._reader is None or self._next_epoch != epoch:
            self.close()
            self._reader = self._open(epoch)
        complete = False
        try:
            for position in self._order(epoch):
                yield _checked(next(self._reader), self._row_groups[position])
            complete = True
            self._next_epoch = epoch + 1
        finally:
            if not complete:
                self.close()

    def close(self) -> None:
        """Stop reading. A later epoch opens the files again."""
        if self._reader is not None:
            self._reader.stop()
            self._reader.join()
            self._reader = None

    def _open(self, epoch: int) -> "_EpochReader":
        used = {row_group.segment for row_group in self._row_groups}
        segments = [segment for segment in self._shard.segments if segment.name in used]
        # Petastorm numbers the row groups of all files, in the order in which it gets the files.
        firsts, count = {}, 0
        for segment in segments:
            firsts[segment.name] = count
            count += len(segment.row_groups)
        pieces = [firsts[row_group.segment] + row_group.number for row_group in self._row_groups]

        def endless() -> Iterator[int]:
            number = epoch
            while True:
                yield from (pieces[position] for position in self._order(number))
                number += 1

        uris = [self._shard.uris[segment.name] for segment in segments]
        return _EpochReader(uris, OldFileSystem.of(uris[0], self._shard.files), endless(), count)


class _EpochReader(Reader):  # type: ignore[misc]
    """A Petastorm reader of given row groups.

    The reader of `make_batch_reader` shuffles its row groups once and repeats this order, so each epoch would need
    another reader, which opens all files again. It also refuses more ranks than row groups, and its
    `index % shard_count` can give one rank all the small row groups.

    Args:
        uris: URIs of the files.
        filesystem: File system of the URIs; None for local files.
        pieces: Numbers of the row groups to read, among those of all files. It never ends.
        count: Number of row groups of all files.

    Raises:
        ValueError: The files have another number of row groups.
    """

    def __init__(self, uris: list[str], filesystem: OldFileSystem | None, pieces: Iterator[int], count: int) -> None:
        self._pieces = pieces
        self._count = count
        filesystem, paths = get_filesystem_and_path_or_paths(uris, filesystem=filesystem)
        super().__init__(
            filesystem,
            paths,
            schema_fields=_COLUMNS,
            shuffle_row_groups=False,
            # With several threads, the order would depend on timing. One thread suffices, because decoding takes longer
            # than reading.
            reader_pool=ThreadPool(1),
            worker_class=ArrowReaderWorker,
            is_batched_reader=True,
        )

    def _create_ventilator(self, row_group_indexes: list[int], *_: Any) -> "_PieceVentilator":
        if len(row_group_indexes) != self._count:
            raise ValueError(
                f"training_set: the segments have {len(row_group_indexes)} row groups, but the manifest lists"
                f" {self._count}. Build the training set again."
            )
        return _PieceVentilator(self._workers_pool.ventilate, self._pieces)


class _PieceVentilator(Ventilator):  # type: ignore[misc]
    """Hands row groups to Petastorm's thread, a few ahead of the consumer.

    Args:
        ventilate: Petastorm's function that hands over a row group.
        pieces: Numbers of the row groups.
    """

    def __init__(self, ventilate: Callable[..., None], pieces: Iterator[int]) -> None:
        super().__init__(ventilate)
        self._pieces = pieces
        self._room = Semaphore(1 + _READ_AHEAD)
        self._stopped = Event()
        self._thread = Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Start to hand over row groups."""
        self._thread.start()

    def processed_item(self) -> None:
        """Make room for a row group. Petastorm calls this after a row group was consumed."""
        self._room.release()

    def completed(self) -> bool:
        """Return whether no row group will follow."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Stop to hand over row groups."""
        self._stopped.set()
        self._room.release()
        self._thread.join()

    def _run(self) -> None:
        for piece in self._pieces:
            self._room.acquire()
            if self._stopped.is_set():
                return
            self._ventilate_fn(piece_index=piece, worker_predicate=None, shuffle_row_drop_partition=(0, 1))


def _checked(read: Any, expected: RowGroup) -> Rows:
    found = read.segment[0], int(read.row[0]), len(read.row)
    if found != (expected.segment, expected.first, expected.rows):
        raise ValueError(
            f"training_set: row group {expected.number} of segment '{expected.segment}' has {found[2]} rows from row"
            f" {found[1]} of segment '{found[0]}', but the manifest lists {expected.rows} rows from row"
            f" {expected.first}. Build the training set again."
        )
    return Rows(expected, read.content)

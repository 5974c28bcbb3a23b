"""The features of a rank's images in a file of its machine."""

import errno
import tempfile
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from components.errors import InputError
from components.train_classifier.rank.shards import RowGroup, Shard
from components.training_set.feature_arrays import Features
from components.training_set.manifest import NO_MEMBER

_BYTES = np.dtype(np.float32).itemsize


class LocalFeatures:
    """The features of a shard's images, in a file that is mapped into memory.

    The system keeps as much of the file in memory as there is room for. The file has no name, so its space is free as
    soon as the process ends, even if it is killed.

    Args:
        shard: The shard.
        width: Length of a feature vector.
    """

    def __init__(self, shard: Shard, width: int) -> None:
        self._shard = shard
        self._width = width
        counts = [int(np.count_nonzero(shard.labels_of(row_group) != NO_MEMBER)) for row_group in shard.row_groups]
        ends = np.cumsum(counts, dtype=np.int64).tolist()
        self._blocks = {
            row_group: range(end - count, end)
            for row_group, count, end in zip(shard.row_groups, counts, ends, strict=True)
        }
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - open until `close`
        self._pending = set(shard.row_groups)

    @property
    def blocks(self) -> Sequence[range]:
        """Rows of the file that belong to each row group of the shard."""
        return list(self._blocks.values())

    @property
    def pending(self) -> list[RowGroup]:
        """Row groups that were not written yet."""
        return [row_group for row_group in self._shard.row_groups if row_group in self._pending]

    def write(self, row_group: RowGroup, features: Features) -> None:
        """Write the features of a row group. Without images of this shard, nothing is written.

        Args:
            row_group: The row group.
            features: Features of all its rows, shape (rows, width).

        Raises:
            InputError: The disk is full.
        """
        if row_group not in self._pending:
            return
        own = features[self._shard.labels_of(row_group) != NO_MEMBER]
        try:
            # Writing to the mapped memory would end the process with SIGBUS if the disk is full.
            self._file.seek(self._blocks[row_group].start * self._width * _BYTES)
            self._file.write(own.tobytes())
            self._file.flush()
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            images = self._shard.image_count()
            raise InputError(
                f"TMPDIR: the disk of '{tempfile.gettempdir()}' has no room for the features of {images:,} images"
                f" ({images * self._width * _BYTES / 2**30:.1f} GiB). Use a larger disk or more ranks."
            ) from error
        self._pending.remove(row_group)

    def map(self) -> npt.NDArray[np.float32]:
        """Return the features of all images, shape (images, width), as a view of the file."""
        rows = sum(map(len, self.blocks))
        if not rows:
            return np.empty((0, self._width), np.float32)
        return np.memmap(self._file, np.float32, mode="r", shape=(rows, self._width))

    def close(self) -> None:
        """Close the file. Views of it stay valid."""
        self._file.close()

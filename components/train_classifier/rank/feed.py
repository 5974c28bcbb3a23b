"""The images of a rank as a TensorFlow dataset. Petastorm reads them from Parquet files."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import tensorflow as tf
from petastorm import make_batch_reader

from components.preprocessing.preprocess import preprocess
from components.storage.files import Files
from components.train_classifier.rank.old_filesystem import OldFileSystem
from components.training_set.manifest import SplitName, TrainingSet

# Number of row groups that are read ahead. Each is a whole file in memory.
_READ_AHEAD = 2

# Retries after an early end of a reader, and the pause before each; see `_row_groups`.
_MAXIMUM_EARLY_ENDS = 20
_EARLY_END_SECONDS = 0.05


@dataclass(frozen=True)
class Shard:
    """The images of one split that one rank reads.

    Attributes:
        uris: URIs of all Parquet files of the split.
        rank: Number of the rank, from 0.
        ranks: Number of ranks.
        files: Access to these files.
    """

    uris: Sequence[str]
    rank: int
    ranks: int
    files: Files

    @classmethod
    def of(cls, training_set: TrainingSet, split: SplitName, rank: int, ranks: int, files: Files) -> "Shard":
        """Return a rank's shard of a split.

        The split has at least as many files as there are ranks.

        Args:
            training_set: The training set.
            split: The split.
            rank: Number of the rank, from 0.
            ranks: Number of ranks.
            files: Access to the training set's files.
        """
        return cls(sorted(training_set.file_urls(split)), rank, ranks, files)

    @property
    def own_files(self) -> list[str]:
        """URIs of this rank's files.

        Petastorm assigns row groups round-robin, and each file is one row group.
        """
        return list(self.uris[self.rank :: self.ranks])

    def image_count(self) -> int:
        """Return the number of images in this shard, from the footers of its files.

        Raises:
            ValueError: A file has several row groups.
        """
        return sum(_rows(file, self.files) for file in self.own_files)

    def rows(self, seed: int | None = None) -> Iterator[tuple[npt.NDArray[np.object_], npt.NDArray[np.int32]]]:
        """Yield the contents and class ids of this shard, one file at a time.

        Args:
            seed: Seed of the order of the files and of the rows within each; None keeps their order.
        """
        # With several threads, the order would depend on timing. One thread suffices, because decoding takes longer
        # than reading.
        with make_batch_reader(
            list(self.uris),
            schema_fields=["content", "label"],
            workers_count=1,
            results_queue_size=_READ_AHEAD,
            shuffle_row_groups=seed is not None,
            seed=seed,
            cur_shard=self.rank,
            shard_count=self.ranks,
            filesystem=OldFileSystem.of(self.uris[0], self.files),
        ) as reader:
            generator = None if seed is None else np.random.default_rng(seed)
            for group in _row_groups(reader, len(self.own_files)):
                order = slice(None) if generator is None else generator.permutation(len(group.label))
                yield group.content[order], group.label[order].astype(np.int32)


class ImageFeed:
    """The images of a shard as tensors.

    Args:
        shard: The shard.
        size: Side of the model's input, in pixels.
        class_ids: Class ids in the order of the model's dense indices.
        threads: Number of threads that decode images.
    """

    def __init__(self, shard: Shard, size: int, class_ids: Sequence[int], threads: int) -> None:
        self._shard = shard
        self._size = size
        self._class_ids = class_ids
        self._threads = threads

    def dataset(self, seed: Callable[[], int] | None = None) -> tf.data.Dataset:
        """Return the shard's images (float32, 0..255) and dense class indices (int32).

        Each image occurs once.

        Args:
            seed: Function that returns the seed of the next pass's order; None keeps the order of the files.
        """

        def rows() -> Iterator[tuple[npt.NDArray[np.object_], npt.NDArray[np.int32]]]:
            for contents, labels in self._shard.rows(None if seed is None else seed()):
                yield contents, dense_indices(labels, self._class_ids)

        signature = tf.TensorSpec((None,), tf.string), tf.TensorSpec((None,), tf.int32)
        dataset = tf.data.Dataset.from_generator(rows, output_signature=signature).unbatch()
        dataset = dataset.map(
            lambda content, index: (preprocess(content, self._size), index),
            num_parallel_calls=self._threads,
            deterministic=True,
        )
        return dataset.with_options(reader_options(self._threads))


def reader_options(threads: int) -> tf.data.Options:
    """Return the options of a dataset that uses only its rank's threads."""
    options = tf.data.Options()
    options.threading.private_threadpool_size = threads
    # TensorFlow 2.21's tuner sleeps 10 ms, 20 ms, 40 ms and so on, up to a minute. The end of a pass often waits for
    # the tuner: passes of 0.65 s took twice as long. These datasets have nothing to tune.
    options.autotune.enabled = False
    return options


def dense_indices(labels: npt.NDArray[np.int32], class_ids: Sequence[int]) -> npt.NDArray[np.int32]:
    """Return the dense indices of class ids.

    Args:
        labels: Class ids.
        class_ids: Class ids in the order of the dense indices.

    Raises:
        ValueError: `class_ids` lacks a label.
    """
    sorted_ids = np.asarray(class_ids)
    order = np.argsort(sorted_ids)
    positions = np.minimum(np.searchsorted(sorted_ids[order], labels), len(sorted_ids) - 1)
    indices = order[positions]
    if not np.array_equal(sorted_ids[indices], labels):
        unknown = sorted(set(labels.tolist()) - set(class_ids))
        raise ValueError(f"training_set: the manifest does not list the labels {unknown} that its files have")
    return indices.astype(np.int32)


def read_labels(file: str, files: Files) -> npt.NDArray[np.int32]:
    """Return the class ids in a Parquet file, in the order of its rows.

    Args:
        file: URI of the file.
        files: Access to the file.
    """
    with files.open_file(file) as source:
        labels: npt.NDArray[np.int32] = pq.read_table(source, columns=["label"])["label"].to_numpy()
    return labels


def _row_groups(reader: Iterator[Any], count: int) -> Iterator[Any]:
    """Yield the `count` row groups of a reader.

    Petastorm 0.13.1 first checks whether its threads are idle, then whether all work was handed out. If the last work
    is handed out in between, the reader raises StopIteration too early. Calling `next` again continues.
    """
    early_ends = 0
    while count:
        try:
            group = next(reader)
        except StopIteration:
            early_ends += 1
            if early_ends > _MAXIMUM_EARLY_ENDS:
                raise ValueError(
                    f"training_set: {count} files could not be read. Build the training set again."
                ) from None
            time.sleep(_EARLY_END_SECONDS)
        else:
            count -= 1
            yield group


def _rows(file: str, files: Files) -> int:
    with files.open_file(file) as source:
        metadata = pq.read_metadata(source)
    if metadata.num_row_groups != 1:
        raise ValueError(
            f"training_set: file '{file}' has {metadata.num_row_groups} row groups, but each rank reads whole files."
            " Build the training set again."
        )
    return int(metadata.num_rows)

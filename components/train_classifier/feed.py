"""The feed of the training: a rank's share of Parquet files, through Petastorm, as a TensorFlow dataset."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import tensorflow as tf
from petastorm import make_batch_reader

from components.build_training_set.training_set import SplitName, TrainingSet
from components.images.preprocess import preprocess
from components.storage import files
from components.train_classifier.old_filesystem import OldFileSystem

# Row groups that are read ahead: each is a whole file in memory.
_READ_AHEAD = 2

_EARLY_ENDS = 20
_EARLY_END_SECONDS = 0.05


@dataclass(frozen=True)
class Share:
    """The images of one split that are one rank's.

    Attributes:
        files: URIs of all Parquet files of the split.
        rank: Which rank.
        ranks: Of how many.
    """

    files: Sequence[str]
    rank: int
    ranks: int

    @classmethod
    def of(cls, training_set: TrainingSet, split: SplitName, rank: int, ranks: int) -> "Share":
        """Return a rank's share of a split, of which there are as many files as ranks, or more."""
        return cls(sorted(training_set.file_urls(split)), rank, ranks)

    @property
    def own_files(self) -> list[str]:
        """URIs of this rank's files: Petastorm deals out row groups in turn, and each file is one."""
        return list(self.files[self.rank :: self.ranks])

    def images(self) -> int:
        """Return how many images this share has, from the footers of its files.

        Raises:
            ValueError: A file is not one row group.
        """
        return sum(_rows(file) for file in self.own_files)

    def rows(self, seed: int | None = None) -> Iterator[tuple[npt.NDArray[np.object_], npt.NDArray[np.int32]]]:
        """Yield contents and labels of this share, a file at a time.

        Args:
            seed: Of the order of files, and of the rows within each; None leaves them as they are.
        """
        # One thread, because the order would depend on timing with more; the decoding is what takes time.
        with make_batch_reader(
            list(self.files),
            schema_fields=["content", "label"],
            workers_count=1,
            results_queue_size=_READ_AHEAD,
            shuffle_row_groups=seed is not None,
            seed=seed,
            cur_shard=self.rank,
            shard_count=self.ranks,
            filesystem=OldFileSystem.of(self.files[0]),
        ) as reader:
            generator = None if seed is None else np.random.default_rng(seed)
            for group in _row_groups(reader, len(self.own_files)):
                order = slice(None) if generator is None else generator.permutation(len(group.label))
                yield group.content[order], group.label[order].astype(np.int32)


class ImageFeed:
    """A share's images as tensors.

    Args:
        share: Which images.
        size: Side of the model's input, in pixels.
        class_ids: Class ids in the order of the model's dense indices.
        threads: Threads that decode.
    """

    def __init__(self, share: Share, size: int, class_ids: Sequence[int], threads: int) -> None:
        self._share = share
        self._size = size
        self._class_ids = class_ids
        self._threads = threads

    def dataset(self, seed: Callable[[], int] | None = None) -> tf.data.Dataset:
        """Return the share's images (float32, 0..255) and dense indices (int32), each once.

        Args:
            seed: Called at each pass, for the seed of its order; None is the order of the files.
        """

        def rows() -> Iterator[tuple[npt.NDArray[np.object_], npt.NDArray[np.int32]]]:
            for contents, labels in self._share.rows(None if seed is None else seed()):
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
    """Return the options of a dataset that keeps to its rank's threads."""
    options = tf.data.Options()
    options.threading.private_threadpool_size = threads
    # TensorFlow 2.21's tuner wakes up 10, 20, 40 ms and so on apart, up to a minute, and the end of a pass often waits
    # for that: it doubled passes of 0.65 s. There is nothing for it to tune here.
    options.autotune.enabled = False
    return options


def dense_indices(labels: npt.NDArray[np.int32], class_ids: Sequence[int]) -> npt.NDArray[np.int32]:
    """Return the dense indices of class ids.

    Args:
        labels: Class ids.
        class_ids: Class ids in the order of the dense indices.

    Raises:
        ValueError: A label is not among them.
    """
    sorted_ids = np.asarray(class_ids)
    order = np.argsort(sorted_ids)
    positions = np.minimum(np.searchsorted(sorted_ids[order], labels), len(sorted_ids) - 1)
    indices = order[positions]
    if not np.array_equal(sorted_ids[indices], labels):
        unknown = sorted(set(labels.tolist()) - set(class_ids))
        raise ValueError(f"the training set's files have labels {unknown} that its manifest does not name")
    return indices.astype(np.int32)


def read_labels(file: str) -> npt.NDArray[np.int32]:
    """Return the class ids in a Parquet file, in its order.

    Args:
        file: Its URI.
    """
    with files.open_file(file) as source:
        labels: npt.NDArray[np.int32] = pq.read_table(source, columns=["label"])["label"].to_numpy()
    return labels


def _row_groups(reader: Iterator[Any], count: int) -> Iterator[Any]:
    """Yield the `count` row groups of a reader.

    Petastorm 0.13.1 asks whether its threads are idle before it asks whether all work was given to them: with little
    work, it may have been given in between, and the reader says too early that it is at its end. Asking again helps.
    """
    early_ends = 0
    while count:
        try:
            group = next(reader)
        except StopIteration:
            early_ends += 1
            if early_ends > _EARLY_ENDS:
                raise ValueError(f"{count} files of the training set could not be read. Build the set again.") from None
            time.sleep(_EARLY_END_SECONDS)
        else:
            count -= 1
            yield group


def _rows(file: str) -> int:
    with files.open_file(file) as source:
        metadata = pq.read_metadata(source)
    if metadata.num_row_groups != 1:
        raise ValueError(
            f"'{file}' has {metadata.num_row_groups} row groups, but ranks share whole files. Build the set again."
        )
    return int(metadata.num_rows)

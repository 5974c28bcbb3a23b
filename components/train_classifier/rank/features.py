"""The features of a rank's images, which a frozen backbone computes once.

They are read in all epochs, and by later trainings.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow import keras

from components.preprocessing.lone_image import pair_lone_image
from components.preprocessing.preprocess import preprocess
from components.train_classifier.rank.feature_files import FeatureFiles
from components.train_classifier.rank.feed import dense_indices, reader_options
from components.train_classifier.rank.local_features import LocalFeatures
from components.train_classifier.rank.order import Block, block_order, shuffled
from components.train_classifier.rank.row_groups import RowGroupReader
from components.train_classifier.rank.shards import RowGroup, Shard
from components.training_set.feature_arrays import Features
from components.training_set.manifest import NO_MEMBER

# Number of feature files that are read at the same time. Remote stores answer after tens of milliseconds.
_PARALLEL_READS = 16


@dataclass(frozen=True)
class FeatureSource:
    """The frozen backbone, and how to compute its features.

    Attributes:
        backbone: The frozen network.
        folder: URI of the folder of the backbone's features.
        size: Side of the backbone's input, in pixels.
        class_ids: Class ids in the order of the model's dense indices.
        batch_size: Number of images in a batch.
        threads: Number of threads that decode images.
        report: Function that gets the position of this rank after each batch of images, and of files that are read.
    """

    backbone: keras.Model
    folder: str
    size: int
    class_ids: Sequence[int]
    batch_size: int
    threads: int
    report: Callable[[str], None] = lambda position: None

    @property
    def width(self) -> int:
        """Length of a feature vector."""
        return int(self.backbone.output_shape[-1])


class FeatureFeed:
    """The features of a shard, in a file of this machine.

    All ranks make this feed at the same time.

    Args:
        shard: The shard.
        source: The backbone and its features in the lake.
        wait: Function that waits until all ranks call it.

    Attributes:
        computed: Number of images whose features this rank computed.
    """

    def __init__(self, shard: Shard, source: FeatureSource, wait: Callable[[], None]) -> None:
        self.computed = 0
        self._threads = source.threads
        stored = FeatureFiles(source.folder, source.width, shard.files)
        self._local = LocalFeatures(shard, source.width)
        missing = self._copy(stored, shard.computed_row_groups, source.report)
        for row_group, features in _compute(shard, missing, source):
            stored.write(row_group, features)
            self._local.write(row_group, features)
            self.computed += row_group.rows
        # With fewer row groups than ranks, other ranks computed some of this rank's row groups.
        wait()
        lost = self._copy(stored, self._local.pending, source.report)
        if lost:
            raise ValueError(
                f"features: {len(lost)} files of segment '{lost[0].segment}' in '{source.folder}' are missing after"
                " another rank wrote them. Check that no other program removes files there, and run this step again."
            )
        self._features = self._local.map()
        labels = [shard.labels_of(row_group) for row_group in shard.row_groups]
        members = np.concatenate([each[each != NO_MEMBER] for each in labels] or [np.empty(0, np.int32)])
        self._indices = dense_indices(members, source.class_ids)

    def dataset(self, seed: int | None = None, first_epoch: int = 0) -> tf.data.Dataset:
        """Return the shard's features (float32), dense class indices (int32) and weights of 1 (float32).

        Each pass over the dataset is an epoch, with each image once.

        Args:
            seed: Seed of the order of the images, from 0; None keeps the order of the segments.
            first_epoch: Number of the first pass's epoch, from 0. Each epoch has another order.
        """
        blocks = self._local.blocks
        epochs = count(first_epoch)

        def gathered() -> Iterator[Block]:
            epoch = next(epochs)
            order = block_order(len(blocks), seed, epoch)
            rows_of_blocks = ((np.arange(blocks[each].start, blocks[each].stop),) for each in order)
            for (rows,) in shuffled(rows_of_blocks, seed, epoch):
                yield self._features[rows], self._indices[rows], np.ones(len(rows), np.float32)

        signature = (
            tf.TensorSpec((None, self._features.shape[1]), tf.float32),
            tf.TensorSpec((None,), tf.int32),
            tf.TensorSpec((None,), tf.float32),
        )
        dataset = tf.data.Dataset.from_generator(gathered, output_signature=signature).unbatch()
        return dataset.with_options(reader_options(self._threads))

    def close(self) -> None:
        """Close the file of the features."""
        self._local.close()

    def _copy(
        self, stored: FeatureFiles, row_groups: Sequence[RowGroup], report: Callable[[str], None]
    ) -> list[RowGroup]:
        """Copy features from the lake to this machine, and return the row groups without valid features."""
        missing = []
        with ThreadPoolExecutor(_PARALLEL_READS) as pool:
            # In chunks, because the pool would read all files before the first one is written.
            for start in range(0, len(row_groups), _PARALLEL_READS):
                report(f"features, file {start + 1} of {len(row_groups)}")
                chunk = row_groups[start : start + _PARALLEL_READS]
                for row_group, features in zip(chunk, pool.map(stored.read, chunk), strict=True):
                    if features is None:
                        missing.append(row_group)
                    else:
                        self._local.write(row_group, features)
        return missing


def _compute(
    shard: Shard, row_groups: Sequence[RowGroup], source: FeatureSource
) -> Iterator[tuple[RowGroup, Features]]:
    """Yield row groups and the features of all their rows."""
    if not row_groups:
        return
    reader = RowGroupReader(shard, row_groups, lambda epoch: block_order(len(row_groups), None, epoch))

    def contents() -> Iterator[npt.NDArray[np.object_]]:
        return (rows.contents for rows in reader.read(0))

    # Batches span row groups, because those of small segments have a few rows only.
    batches = (
        tf.data.Dataset.from_generator(contents, output_signature=tf.TensorSpec((None,), tf.string))
        .unbatch()
        .map(lambda content: preprocess(content, source.size), source.threads, deterministic=True)
        .batch(source.batch_size)
        .map(pair_lone_image)
        .prefetch(2)
        .with_options(reader_options(source.threads))
    )
    total = remaining = sum(row_group.rows for row_group in row_groups)
    computed = np.empty((0, source.width), np.float32)
    waiting = deque(row_groups)
    for images in batches:
        # `pair_lone_image` repeats the image of a batch of one.
        rows = min(source.batch_size, remaining)
        remaining -= rows
        source.report(f"features, image {total - remaining} of {total}")
        computed = np.concatenate([computed, source.backbone.predict_on_batch(images)[:rows]])
        while waiting and len(computed) >= waiting[0].rows:
            row_group = waiting.popleft()
            yield row_group, computed[: row_group.rows]
            computed = computed[row_group.rows :]
    reader.close()

"""A cache of the features of a frozen backbone.

Features are computed once, and read in all epochs and later trainings. For each Parquet file, the cache has a file
`<features directory>/<key>/<file>.npy` in any store. The key is a hash of everything that the features depend on. Only
one rank of a training uses a file, so trainings with different numbers of ranks can share the cache.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow import keras

from components.preprocessing.lone_image import pair_lone_image
from components.preprocessing.preprocess import PREPROCESSING_VERSION
from components.storage import uri
from components.storage.files import Files
from components.train_classifier.rank.backbones import weights_digest
from components.train_classifier.rank.feed import ImageFeed, Shard, dense_indices, read_labels, reader_options
from components.train_classifier.rank.gpus import FLOAT32
from components.training_set.manifest import TrainingSet


@dataclass(frozen=True)
class FeatureSource:
    """The frozen backbone, and how to compute its features.

    Attributes:
        backbone: The frozen network.
        folder: URI of the folder that caches this backbone's features of this training set.
        size: Side of the backbone's input, in pixels.
        class_ids: Class ids in the order of the model's dense indices.
        batch_size: Number of images in a batch.
        threads: Number of threads that decode images.
    """

    backbone: keras.Model
    folder: str
    size: int
    class_ids: Sequence[int]
    batch_size: int
    threads: int


class FeatureFeed:
    """The features of a shard, in memory.

    Args:
        shard: The shard.
        source: The backbone and its cache.

    Attributes:
        computed: Number of images whose features were not in the cache.
    """

    def __init__(self, shard: Shard, source: FeatureSource) -> None:
        self.computed = 0
        self._threads = source.threads
        features, indices = [], []
        for file in shard.own_files:
            # The path within the training set does not depend on where the lake is mounted.
            cache_file = uri.join(source.folder, f"{'-'.join(file.rsplit('/', 2)[1:])}.npy")
            labels = read_labels(file, shard.files)
            features_of_file = _load(cache_file, len(labels), shard.files)
            if features_of_file is None:
                features_of_file = _compute(file, source, len(labels), shard.files)
                _save(cache_file, features_of_file, shard.files)
                self.computed += len(labels)
            features.append(features_of_file)
            indices.append(dense_indices(labels, source.class_ids))
        self._features = np.concatenate(features)
        self._indices = np.concatenate(indices)

    def dataset(self, seed: Callable[[], int] | None = None) -> tf.data.Dataset:
        """Return the shard's features (float32) and dense class indices (int32).

        Each image occurs once.

        Args:
            seed: Function that returns the seed of the next pass's order; None keeps the order of the files.
        """
        count = len(self._indices)

        def order() -> npt.NDArray[np.int64]:
            return np.arange(count) if seed is None else np.random.default_rng(seed()).permutation(count)

        # In a GPU's memory, the features might not fit, and each row would be copied back to the CPU.
        with tf.device("CPU:0"):
            features, indices = tf.constant(self._features), tf.constant(self._indices)
        dataset = tf.data.Dataset.from_generator(
            lambda: iter([order()]), output_signature=tf.TensorSpec((count,), tf.int64)
        )
        dataset = dataset.unbatch().map(lambda row: (features[row], indices[row]), deterministic=True)
        return dataset.with_options(reader_options(self._threads))


def features_folder(
    directory: str, training_set: TrainingSet, backbone: keras.Model, size: int, arithmetic: str
) -> str:
    """Return the URI of the cache of a backbone's features of a training set.

    Args:
        directory: URI of the folder of all caches.
        training_set: The training set.
        backbone: The frozen network.
        size: Side of the network's input, in pixels.
        arithmetic: Arithmetic of the rank, e.g. `float32`. Each kind has a cache of its own.
    """
    key: tuple[object, ...] = training_set.id, weights_digest(backbone), PREPROCESSING_VERSION, size
    if arithmetic != FLOAT32:
        key = (*key, arithmetic)
    return uri.join(directory, hashlib.sha256(repr(key).encode()).hexdigest()[:16])


def _compute(file: str, source: FeatureSource, rows: int, files: Files) -> npt.NDArray[np.float32]:
    shard = Shard([file], rank=0, ranks=1, files=files)
    images = ImageFeed(shard, source.size, source.class_ids, source.threads).dataset()
    batches = images.map(lambda image, _: image).batch(source.batch_size).map(pair_lone_image).prefetch(2)
    features: npt.NDArray[np.float32] = source.backbone.predict(batches, verbose=0)
    # `pair_lone_image` repeats the image of a batch of one.
    return features[:rows]


def _load(file: str, rows: int, files: Files) -> npt.NDArray[np.float32] | None:
    """Return the features in a cache file, or None if it is missing or damaged."""
    if not files.exists(file):
        return None
    try:
        features: npt.NDArray[np.float32] = np.load(BytesIO(files.read_bytes(file)), allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return features if features.ndim == 2 and len(features) == rows else None


def _save(file: str, features: npt.NDArray[np.float32], files: Files) -> None:
    buffer = BytesIO()
    np.save(buffer, features)
    files.write_bytes(file, buffer.getvalue())

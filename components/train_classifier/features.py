"""Features of a frozen backbone: computed once per Parquet file, and read again in every epoch and every training.

They are kept under `<features directory>/<key>/<file>.npy`, whatever the store. The key stands for all that they depend
on; a file belongs to one rank at a time, so any number of ranks can share them.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow import keras

from components.build_training_set.training_set import TrainingSet
from components.images.lone_image import pair_lone_image
from components.images.preprocess import PREPROCESSING_VERSION
from components.storage import files, uri
from components.train_classifier.backbones import weights_digest
from components.train_classifier.feed import ImageFeed, Share, dense_indices, read_labels, reader_options


@dataclass(frozen=True)
class FeatureSource:
    """What features are made by.

    Attributes:
        backbone: The frozen network.
        folder: URI of where this backbone's features of this training set are kept.
        size: Side of the backbone's input, in pixels.
        class_ids: Class ids in the order of the model's dense indices.
        batch_size: Images that are evaluated together.
        threads: Threads that decode.
    """

    backbone: keras.Model
    folder: str
    size: int
    class_ids: Sequence[int]
    batch_size: int
    threads: int


class FeatureFeed:
    """A share's features, in memory.

    Attributes:
        computed: Images that the backbone had to be evaluated on.
    """

    def __init__(self, share: Share, source: FeatureSource) -> None:
        self.computed = 0
        self._threads = source.threads
        features, indices = [], []
        for file in share.own_files:
            # The file's name within the training set, which is the same wherever the lake is mounted.
            kept = uri.join(source.folder, f"{'-'.join(file.rsplit('/', 2)[1:])}.npy")
            labels = read_labels(file)
            known = _load(kept, len(labels))
            if known is None:
                known = _compute(file, source, len(labels))
                _save(kept, known)
                self.computed += len(labels)
            features.append(known)
            indices.append(dense_indices(labels, source.class_ids))
        self._features = np.concatenate(features)
        self._indices = np.concatenate(indices)

    def dataset(self, seed: Callable[[], int] | None = None) -> tf.data.Dataset:
        """Return the share's features (float32) and dense indices (int32), each once.

        Args:
            seed: Called at each pass, for the seed of its order; None is the order of the files.
        """
        count = len(self._indices)

        def order() -> npt.NDArray[np.int64]:
            return np.arange(count) if seed is None else np.random.default_rng(seed()).permutation(count)

        features, indices = tf.constant(self._features), tf.constant(self._indices)
        dataset = tf.data.Dataset.from_generator(
            lambda: iter([order()]), output_signature=tf.TensorSpec((count,), tf.int64)
        )
        dataset = dataset.unbatch().map(lambda row: (features[row], indices[row]), deterministic=True)
        return dataset.with_options(reader_options(self._threads))


def features_folder(directory: str, training_set: TrainingSet, backbone: keras.Model, size: int) -> str:
    """Return the URI of the folder of a backbone's features of a training set.

    Args:
        directory: URI of the folder of all features.
        training_set: Whose images.
        backbone: The frozen network.
        size: Side of its input, in pixels.
    """
    parts = training_set.id, weights_digest(backbone), PREPROCESSING_VERSION, size
    return uri.join(directory, hashlib.sha256(repr(parts).encode()).hexdigest()[:16])


def _compute(file: str, source: FeatureSource, rows: int) -> npt.NDArray[np.float32]:
    share = Share([file], rank=0, ranks=1)
    images = ImageFeed(share, source.size, source.class_ids, source.threads).dataset()
    batches = images.map(lambda image, _: image).batch(source.batch_size).map(pair_lone_image).prefetch(2)
    features: npt.NDArray[np.float32] = source.backbone.predict(batches, verbose=0)
    # The last batch may have been of one image.
    return features[:rows]


def _load(file: str, rows: int) -> npt.NDArray[np.float32] | None:
    """Return the features in a file, or None where there are none that make sense: they are computed again then."""
    if not files.exists(file):
        return None
    try:
        features: npt.NDArray[np.float32] = np.load(BytesIO(files.read_bytes(file)), allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return features if features.ndim == 2 and len(features) == rows else None


def _save(file: str, features: npt.NDArray[np.float32]) -> None:
    buffer = BytesIO()
    np.save(buffer, features)
    files.write_bytes(file, buffer.getvalue())

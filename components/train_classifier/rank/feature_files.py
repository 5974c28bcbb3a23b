"""The features of a frozen backbone in the lake.

The features of a row group are in `<features>/<key>/<segment>/<number>.npy`. The key is a hash of everything that the
features depend on, except the images. So trainings on other training sets and with other numbers of ranks share them.
"""

import hashlib

from tensorflow import keras

from components.preprocessing.version import PREPROCESSING_VERSION
from components.storage import uri
from components.storage.files import Files
from components.train_classifier.rank.backbones import weights_digest
from components.train_classifier.rank.shards import RowGroup
from components.training_set.feature_arrays import Features, decode, encode, file_name


def features_folder(directory: str, backbone: keras.Model, size: int, arithmetic: str) -> str:
    """Return the URI of the folder of a backbone's features.

    Args:
        directory: URI of the lake's folder of features.
        backbone: The frozen network.
        size: Side of the network's input, in pixels.
        arithmetic: Arithmetic of the rank, e.g. `float32`. Each kind has a folder of its own.
    """
    key = weights_digest(backbone), PREPROCESSING_VERSION, size, arithmetic
    return uri.join(directory, hashlib.sha256(repr(key).encode()).hexdigest()[:16])


class FeatureFiles:
    """The features of one backbone in the lake. A file has all rows of a row group, whether they are members or not.

    Args:
        folder: URI of the folder of the backbone's features.
        width: Length of a feature vector.
        files: Access to the folder.
    """

    def __init__(self, folder: str, width: int, files: Files) -> None:
        self._folder = folder
        self._width = width
        self._files = files

    def read(self, row_group: RowGroup) -> Features | None:
        """Return the features of a row group, shape (rows, width), or None if the file is missing or damaged."""
        try:
            content = self._files.read_bytes(self._uri(row_group))
        except FileNotFoundError:
            return None
        features = decode(content, row_group.rows)
        return features if features is not None and features.shape[1] == self._width else None

    def write(self, row_group: RowGroup, features: Features) -> None:
        """Write the features of a row group atomically."""
        self._files.write_bytes(self._uri(row_group), encode(features))

    def _uri(self, row_group: RowGroup) -> str:
        return uri.join(self._folder, row_group.segment, file_name(row_group.number))

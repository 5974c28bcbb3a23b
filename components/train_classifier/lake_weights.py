"""Put named weights into a lake.

Trainings use weights in the lake instead of a download.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import h5py

from components.errors import InputError
from components.parameters.training import RANDOM, BackboneName
from components.storage.files import Files
from components.train_classifier.weights import content_sha256, lake_weights_uri

# The file of a backbone lists this layer.
_LAST_LAYER = {BackboneName.XCEPTION: "block14_sepconv2"}
# The file of a network with its classification layer lists this layer too.
_TOP_LAYER = "predictions"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


@dataclass(frozen=True)
class LakeWeights:
    """Named weights in a lake.

    Attributes:
        uri: URI of the file.
        sha256: SHA-256 of its content, in hexadecimal digits.
        size_bytes: Size of the file in bytes.
        is_new: Whether the file was written; False if the lake already had the same content under that name.
    """

    uri: str
    sha256: str
    size_bytes: int
    is_new: bool


def put(file: Path, lake: str, name: str, files: Files, backbone: BackboneName = BackboneName.XCEPTION) -> LakeWeights:
    """Put a file of weights into a lake under a name.

    Idempotent: nothing is written if the lake already has the same content under that name. Other content is replaced.

    Args:
        file: File of weights that Keras saved.
        lake: Root URI of the lake, normalized.
        name: Name of the weights, e.g. `imagenet`.
        files: Access to the lake's files.
        backbone: Network of the weights.

    Raises:
        InputError: The file does not hold weights of the network, or the name is invalid.
        RuntimeError: The store returns other content than was written. The file is removed.
    """
    if name == RANDOM or not _NAME.fullmatch(name):
        raise InputError(f"--as: invalid name '{name}'. Use lower-case letters, digits and hyphens.")
    _check(file, backbone)
    to = lake_weights_uri(lake, backbone.value, name)
    sha256, size_bytes = content_sha256(file.absolute().as_uri(), files), file.stat().st_size
    if files.exists(to) and content_sha256(to, files) == sha256:
        return LakeWeights(to, sha256, size_bytes, is_new=False)
    files.copy_from(to, file)
    if content_sha256(to, files) != sha256:
        files.remove(to)
        raise RuntimeError(f"weights: '{to}' differs from the written content. Run the command again.")
    return LakeWeights(to, sha256, size_bytes, is_new=True)


def _check(file: Path, backbone: BackboneName) -> None:
    """Raise an error if the layers in a file are not the network's.

    Only the names of the layers are read, not the weights.
    """
    if not file.is_file():
        raise InputError(f"weights: file '{file}' not found. Give a file that Keras saved.")
    try:
        with h5py.File(file, "r") as content:
            # In the file of a whole model, the weights are in a group.
            layers = content.get("model_weights", content).attrs.get("layer_names", [])
            names = {name.decode() if isinstance(name, bytes) else str(name) for name in layers}
    except OSError as error:
        raise InputError(
            f"weights: '{file}' is not an HDF5 file. Give a file that Keras 2 saved with `save_weights('NAME.h5')`."
        ) from error
    if _LAST_LAYER[backbone] not in names:
        raise InputError(
            f"weights: '{file}' does not hold the weights of {backbone.value}. Give a file that Keras 2 saved with"
            " `save_weights('NAME.h5')`."
        )
    if _TOP_LAYER in names:
        raise InputError(
            f"weights: '{file}' includes the top of the network. Give the file without it: the name of Keras's own"
            " download ends in 'notop.h5'."
        )

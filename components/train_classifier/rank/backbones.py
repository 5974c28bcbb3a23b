"""The networks of a classifier.

A backbone computes features from images. A head computes logits from features.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import tensorflow as tf
from tensorflow import keras

from components.errors import InputError
from components.parameters.training import IMAGENET, BackboneName
from components.storage.files import Files
from components.train_classifier.request import TrainingRequest
from components.train_classifier.weights import fetch

# The small network pools until its feature maps have at most this side, in pixels.
_SMALLEST_SIDE = 4
_MAXIMUM_FILTERS = 128
_SMALL_FEATURES = 64


def build_backbone(
    request: TrainingRequest, files: Files, report: Callable[[str], None] = lambda _: None
) -> keras.Model:
    """Return the network from images (0..255) to features.

    A frozen backbone has no trainable weights.

    Args:
        request: A training, which names the network, its initial weights and the side of its input in pixels.
        files: Access to the file of weights.
        report: Function that is called with the position while the file is copied.

    Raises:
        InputError: The weights can't be downloaded or read.
    """
    if request.backbone is BackboneName.SMALL:
        return _small(request.image_size)
    return _xception(request, files, report)


def build_head(features: int, classes: int, dropout: float) -> keras.Model:
    """Return the network from features to one logit per class.

    Args:
        features: Length of a feature vector.
        classes: Number of classes.
        dropout: Fraction of the features dropped in training.
    """
    layers = [keras.Input((features,)), keras.layers.Dropout(dropout), keras.layers.Dense(classes)]
    return keras.Sequential(layers, name="head")


def weights_digest(model: keras.Model) -> str:
    """Return a digest of a network's weights: 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for array in model.get_weights():
        digest.update(repr((array.shape, array.dtype.str)).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def _xception(request: TrainingRequest, files: Files, report: Callable[[str], None]) -> keras.Model:
    images = keras.Input((request.image_size, request.image_size, 3))
    try:
        network = keras.applications.Xception(
            include_top=False,
            weights=IMAGENET if request.weights == IMAGENET else None,
            input_shape=images.shape[1:],
            pooling="avg",
        )
    except Exception as error:  # Keras raises a plain Exception if a download fails
        if request.weights != IMAGENET:
            raise
        raise InputError(
            f"weights: '{IMAGENET}' could not be downloaded ({_first_line(error)}). Put a copy of the file into the"
            " lake with `image-pipelines weights put FILE`, or allow the download."
        ) from error
    if request.weights_sha256:
        _load(network, request, files, report)
    network.trainable = False
    scaled = _scaled(images)
    # `training=False`: batch normalization uses the means and variances of the pretrained weights.
    features = network(scaled, training=False)
    return keras.Model(images, features, name="xception")


def _load(network: keras.Model, request: TrainingRequest, files: Files, report: Callable[[str], None]) -> None:
    """Load the weights from the request's file into Xception."""
    with TemporaryDirectory() as folder:
        # Keras derives the format from the suffix of the file name.
        copy = Path(folder, request.weights.rpartition("/")[2])
        fetch(request.weights, request.weights_sha256, copy, files, report)
        try:
            network.load_weights(copy)
        except (OSError, ValueError, KeyError) as error:
            raise InputError(
                f"weights: file '{request.weights}' does not hold the weights of Xception without its top"
                f" ({_first_line(error)}). Give a file that Keras saved, or '{IMAGENET}'."
            ) from error


def _small(size: int) -> keras.Model:
    """Return a network for small images.

    It has no batch normalization, because padding rows would distort the averages.
    """
    images = keras.Input((size, size, 3))
    outputs = _scaled(images)
    filters = 16
    while outputs.shape[1] > _SMALLEST_SIDE:
        outputs = keras.layers.Conv2D(filters, 3, padding="same", activation="relu")(outputs)
        outputs = keras.layers.MaxPooling2D()(outputs)
        filters = min(2 * filters, _MAXIMUM_FILTERS)
    outputs = keras.layers.Flatten()(outputs)
    outputs = keras.layers.Dense(_SMALL_FEATURES, activation="relu")(outputs)
    return keras.Model(images, outputs, name="small")


def _scaled(images: tf.Tensor) -> tf.Tensor:
    """Scale 0..255 to -1..1, the range that Xception was trained on."""
    return keras.layers.Rescaling(1 / 127.5, offset=-1)(images)


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]

"""The networks that turn images into features, and the head that turns features into scores."""

import hashlib

import numpy as np
import tensorflow as tf
from tensorflow import keras

from components.errors import InputError
from components.train_classifier.request import IMAGENET, BackboneName, TrainingRequest

_SMALLEST_SIDE = 4
_MOST_FILTERS = 128
_SMALL_FEATURES = 64


def build_backbone(request: TrainingRequest) -> keras.Model:
    """Return the network from images (0..255) to features. A frozen one has nothing to train.

    Args:
        request: Names the network, its weights and the side of its input.

    Raises:
        InputError: The weights can't be had.
    """
    if request.backbone is BackboneName.SMALL:
        return _small(request.image_size)
    return _xception(request)


def build_head(features: int, classes: int, dropout: float) -> keras.Model:
    """Return the network from features to one logit per class.

    Args:
        features: Length of a feature vector.
        classes: How many classes there are.
        dropout: Fraction of the features dropped in training.
    """
    layers = [keras.Input((features,)), keras.layers.Dropout(dropout), keras.layers.Dense(classes)]
    return keras.Sequential(layers, name="head")


def weights_digest(model: keras.Model) -> str:
    """Return 16 hexadecimal digits that stand for a network's weights."""
    digest = hashlib.sha256()
    for array in model.get_weights():
        digest.update(repr((array.shape, array.dtype.str)).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def _xception(request: TrainingRequest) -> keras.Model:
    images = keras.Input((request.image_size, request.image_size, 3))
    try:
        network = keras.applications.Xception(
            include_top=False,
            weights=IMAGENET if request.weights == IMAGENET else None,
            input_shape=images.shape[1:],
            pooling="avg",
        )
    except Exception as error:  # Keras raises nothing narrower where a download fails
        if request.weights != IMAGENET:
            raise
        raise InputError(
            f"weights: '{IMAGENET}' could not be downloaded ({_first_line(error)})."
            " Allow the download, or give the path of a file of weights."
        ) from error
    if request.weights_file is not None:
        try:
            network.load_weights(request.weights_file)
        except (OSError, ValueError) as error:
            raise InputError(
                f"weights: '{request.weights_file}' does not hold the weights of Xception without its top"
                f" ({_first_line(error)}). Give a file that Keras saved, or '{IMAGENET}'."
            ) from error
    network.trainable = False
    scaled = _scaled(images)
    # Batch normalisation by the means and variances that came with the weights.
    features = network(scaled, training=False)
    return keras.Model(images, features, name="xception")


def _small(size: int) -> keras.Model:
    """Return a network for small images. Without batch normalisation: padding rows would be in its averages."""
    images = keras.Input((size, size, 3))
    outputs = _scaled(images)
    filters = 16
    while outputs.shape[1] > _SMALLEST_SIDE:
        outputs = keras.layers.Conv2D(filters, 3, padding="same", activation="relu")(outputs)
        outputs = keras.layers.MaxPooling2D()(outputs)
        filters = min(2 * filters, _MOST_FILTERS)
    outputs = keras.layers.Flatten()(outputs)
    outputs = keras.layers.Dense(_SMALL_FEATURES, activation="relu")(outputs)
    return keras.Model(images, outputs, name="small")


def _scaled(images: tf.Tensor) -> tf.Tensor:
    """Scale 0..255 to -1..1, as Xception was trained."""
    return keras.layers.Rescaling(1 / 127.5, offset=-1)(images)


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]

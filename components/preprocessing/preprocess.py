"""Preprocessing: from the bytes of an image file to a model's input.

Validation at ingest, the training feed and the SavedModel run the same graph function on the CPU, so their results are
identical bit for bit. It turns JPEG files upright. It drops transparency, which ingest has already put on white.

The resize kernel is an antialiased triangle (TensorFlow's `bilinear`). On two cores, it reaches 410 images/s, twice as
many as `lanczos3` (200 images/s), and its result is as close to that of Pillow's `thumbnail`.
"""

from components.preprocessing.tensorflow_without_keras import tf
from components.preprocessing.upright import orientation, turn

WHITE = 255.0


def decode(content: tf.Tensor) -> tf.Tensor:
    """Decode an image file to upright uint8 of height x width x 3.

    Args:
        content: Scalar string: the bytes of a file.

    Raises:
        tf.errors.InvalidArgumentError: The file can't be decoded.
    """
    image = turn(decode_as_stored(content), orientation(content))
    image.set_shape((None, None, 3))
    return image


def decode_as_stored(content: tf.Tensor) -> tf.Tensor:
    """Decode an image file to uint8 of height x width x 3, without turning it.

    TensorFlow detects the format (JPEG, PNG, GIF, BMP or WebP) by the bytes. Gray becomes RGB. An animation yields its
    first frame.

    Args:
        content: Scalar string: the bytes of a file.

    Raises:
        tf.errors.InvalidArgumentError: The file can't be decoded.
    """
    image = tf.io.decode_image(content, channels=3, expand_animations=False)
    image.set_shape((None, None, 3))
    return image


def resize_and_pad(image: tf.Tensor, size: int) -> tf.Tensor:
    """Fit an image into a white square: shrink it if it is larger, and center it.

    Args:
        image: Height x width x 3, 0..255.
        size: Side of the square, in pixels.

    Returns:
        float32 of size x size x 3, 0..255.
    """
    shape = tf.shape(image, out_type=tf.int64)
    height, width = shape[0], shape[1]
    longer = tf.maximum(height, width)
    # Integer arithmetic is exact. A side that is one pixel longer or shorter would shift the whole image.
    new_height, new_width = (
        tf.where(longer > size, tf.maximum((2 * side * size + longer) // (2 * longer), 1), side)
        for side in (height, width)
    )
    target = tf.cast(tf.stack((new_height, new_width)), tf.int32)
    resized = tf.image.resize(image, target, method=tf.image.ResizeMethod.BILINEAR, antialias=True)
    top, left = (size - new_height) // 2, (size - new_width) // 2
    padding = (top, size - new_height - top), (left, size - new_width - left), (0, 0)
    padded = tf.pad(resized, padding, constant_values=WHITE)
    return tf.ensure_shape(padded, (size, size, 3))


def preprocess(content: tf.Tensor, size: int) -> tf.Tensor:
    """Return the model's input for an image file.

    Args:
        content: Scalar string: the bytes of a file.
        size: Side of the square, in pixels.

    Returns:
        float32 of size x size x 3, 0..255.

    Raises:
        tf.errors.InvalidArgumentError: The file can't be decoded.
    """
    with tf.device("/CPU:0"):
        return resize_and_pad(decode(content), size)


def preprocess_batch(contents: tf.Tensor, size: int) -> tf.Tensor:
    """Return the model's input for several image files, in their order.

    Args:
        contents: Vector of strings: the bytes of the files.
        size: Side of the square, in pixels.

    Returns:
        float32 of images x size x size x 3, 0..255.

    Raises:
        tf.errors.InvalidArgumentError: A file can't be decoded.
    """
    signature = tf.TensorSpec((size, size, 3), tf.float32)
    with tf.device("/CPU:0"):
        return tf.map_fn(lambda content: preprocess(content, size), contents, fn_output_signature=signature)

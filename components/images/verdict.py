"""Whether a file is an image that a model can be given."""

from components.images.header import EMPTY, image_size
from components.images.preprocess import decode
from components.images.tensorflow_without_keras import tf

NOT_AN_IMAGE = "not an image"

_LONGEST_CAUSE = 120


def _shape(content: tf.Tensor) -> tf.Tensor:
    with tf.device("/CPU:0"):
        return tf.shape(decode(content))


_decoded_shape = tf.function(_shape, input_signature=[tf.TensorSpec((), tf.string)])


def verdict(content: bytes, maximum_pixels: int) -> str | None:
    """Return None for a file that TensorFlow decodes, else a short reason why not.

    Args:
        content: The file.
        maximum_pixels: Width times height that are allowed; looked up in the header, before anything is decoded.
    """
    if not content:
        return EMPTY
    size = image_size(content)
    if size is None:
        return NOT_AN_IMAGE
    if size[0] * size[1] > maximum_pixels:
        return f"more than {maximum_pixels} pixels"
    cause = decoding_error(content)
    return None if cause is None else f"can't be decoded: {cause}"


def decoding_error(content: bytes) -> str | None:
    """Return why TensorFlow can't decode a file, in a few words, or None if it can.

    Args:
        content: The file.
    """
    try:
        _decoded_shape(tf.constant(content, tf.string))
    except tf.errors.InvalidArgumentError as error:
        return _short(error)
    return None


def _short(error: tf.errors.InvalidArgumentError) -> str:
    """Return TensorFlow's message without the place in the graph and the operation."""
    places = "Graph execution error", "Detected at", "File "
    lines = [line.strip() for line in error.message.splitlines()]
    cause = next((line for line in lines if line and not line.startswith(places)), "unknown error")
    return str(cause)[:_LONGEST_CAUSE].rstrip(" .")

"""Validation of image files: whether a model can be trained on them and score them."""

from components.preprocessing.header import header_error, too_many_pixels
from components.preprocessing.preprocess import decode_as_stored
from components.preprocessing.tensorflow_without_keras import tf

TOO_MUCH_MEMORY = "decoding took too much memory"

_LONGEST_CAUSE = 120


def _shape(content: tf.Tensor) -> tf.Tensor:
    with tf.device("/CPU:0"):
        return tf.shape(decode_as_stored(content))


_decoded_shape = tf.function(_shape, input_signature=[tf.TensorSpec((), tf.string)])


def validation_error(content: bytes, maximum_pixels: int) -> str | None:
    """Return why a file is not a valid image, in a few words; None for a valid one.

    Args:
        content: The file.
        maximum_pixels: Maximum of width times height. It is compared with the header before the image is decoded, and
            with the decoded image: the frames of a GIF may be larger than its header says.
    """
    return header_error(content, maximum_pixels) or decoded_error(content, maximum_pixels)


def decoded_error(content: bytes, maximum_pixels: int) -> str | None:
    """Return why a file with a valid header is not a valid image, in a few words; None for a valid one.

    Args:
        content: The file.
        maximum_pixels: Maximum of width times height of the decoded image.
    """
    try:
        height, width, _ = _decoded_shape(tf.constant(content, tf.string)).numpy()
    except tf.errors.InvalidArgumentError as error:
        return f"can't be decoded: {_short(error)}"
    except tf.errors.ResourceExhaustedError:
        return TOO_MUCH_MEMORY
    return too_many_pixels(maximum_pixels) if int(height) * int(width) > maximum_pixels else None


def decoding_error(content: bytes) -> str | None:
    """Return why TensorFlow can't decode a file, in a few words; None if it can.

    Args:
        content: The file.
    """
    try:
        _decoded_shape(tf.constant(content, tf.string))
    except tf.errors.InvalidArgumentError as error:
        return _short(error)
    return None


def _short(error: tf.errors.InvalidArgumentError) -> str:
    """Return TensorFlow's message without the location in the graph."""
    places = "Graph execution error", "Detected at", "File "
    lines = [line.strip() for line in error.message.splitlines()]
    cause = next((line for line in lines if line and not line.startswith(places)), "unknown error")
    return str(cause)[:_LONGEST_CAUSE].rstrip(" .")

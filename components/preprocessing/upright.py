"""Turn JPEG files upright in TensorFlow's graph. `orientation` does the same without TensorFlow."""

from components.preprocessing.orientation import (
    APP1,
    COMMENT,
    EXIF,
    FIRST_APPLICATION,
    LAST_APPLICATION,
    MAXIMUM_SEGMENTS,
)
from components.preprocessing.tensorflow_without_keras import tf

_SHORT, _ORIENTATION, _ORIENTATIONS = 3, 274, 8
_TIFF_HEADER, _ENTRY_BYTES = 8, 12


def orientation(content: tf.Tensor) -> tf.Tensor:
    """Return the orientation in the EXIF of a JPEG as `jpeg_orientation` does, 1 to 8.

    Args:
        content: Scalar string: the bytes of any file.

    Returns:
        Scalar int32.
    """
    is_jpeg = tf.equal(tf.strings.substr(content, 0, 3), b"\xff\xd8\xff")
    return tf.cond(is_jpeg, lambda: _jpeg_orientation(content), lambda: tf.constant(1))


def turn(image: tf.Tensor, stated: tf.Tensor) -> tf.Tensor:
    """Return an image turned upright.

    Args:
        image: Height x width x channels.
        stated: Scalar int32: the orientation, 1 to 8.
    """

    def turned() -> tf.Tensor:
        result = tf.cond(stated >= 5, lambda: tf.transpose(image, (1, 0, 2)), lambda: image)
        mirrored = tf.reduce_any(tf.equal(stated, (2, 3, 6, 7)))
        result = tf.cond(mirrored, lambda: tf.reverse(result, (1,)), lambda: result)
        flipped = tf.reduce_any(tf.equal(stated, (3, 4, 7, 8)))
        return tf.cond(flipped, lambda: tf.reverse(result, (0,)), lambda: result)

    return tf.cond(stated > 1, turned, lambda: image)


def _jpeg_orientation(content: tf.Tensor) -> tf.Tensor:
    length = tf.strings.length(content)

    def is_searching(position: tf.Tensor, found: tf.Tensor) -> tf.Tensor:
        return ~found & (position + 4 <= length)

    def step(position: tf.Tensor, found: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        text = tf.strings.substr(content, position, 4 + len(EXIF))
        header = _integers(tf.strings.substr(text, 0, 4))
        marker = header[1]
        is_metadata = ((marker >= FIRST_APPLICATION) & (marker <= LAST_APPLICATION)) | (marker == COMMENT)
        segment = 256 * header[2] + header[3]
        name = tf.strings.substr(text, 4, len(EXIF))
        is_exif = (header[0] == 0xFF) & (marker == APP1) & (segment >= 2 + len(EXIF)) & (name == EXIF)
        following = tf.where((header[0] == 0xFF) & is_metadata, position + 2 + segment, length)
        return tf.where(is_exif, position, following), is_exif

    position, found = tf.while_loop(
        is_searching,
        step,
        (tf.constant(2), tf.constant(False)),
        maximum_iterations=MAXIMUM_SEGMENTS,
        parallel_iterations=1,
    )

    def read() -> tf.Tensor:
        size = _integers(tf.strings.substr(content, position + 2, 2))
        exif_length = 256 * size[0] + size[1] - 2 - len(EXIF)
        return _tiff_orientation(tf.strings.substr(content, position + 4 + len(EXIF), exif_length))

    return tf.cond(found, read, lambda: tf.constant(1))


def _tiff_orientation(exif: tf.Tensor) -> tf.Tensor:
    length = tf.cast(tf.strings.length(exif), tf.int64)

    def read() -> tf.Tensor:
        order = tf.strings.substr(exif, 0, 4)
        is_little, is_big = order == b"II*\x00", order == b"MM\x00*"
        offset = _number(tf.strings.substr(exif, 4, 4), is_little)
        is_valid = (is_little | is_big) & (offset + 2 <= length)
        return tf.cond(is_valid, lambda: _directory_orientation(exif, offset, is_little), lambda: tf.constant(1))

    return tf.cond(length >= _TIFF_HEADER, read, lambda: tf.constant(1))


def _directory_orientation(exif: tf.Tensor, offset: tf.Tensor, is_little: tf.Tensor) -> tf.Tensor:
    stated = _number(tf.strings.substr(exif, offset, 2), is_little)
    rest = tf.cast(tf.strings.length(exif), tf.int64) - offset - 2
    entries = tf.minimum(stated, rest // _ENTRY_BYTES)
    table = _integers(tf.strings.substr(exif, offset + 2, entries * _ENTRY_BYTES))
    table = tf.reshape(table, (-1, _ENTRY_BYTES))

    def columns(first: int, count: int) -> tf.Tensor:
        numbers = tf.cast(table[:, first : first + count], tf.int64)
        ordered = tf.where(is_little, tf.reverse(numbers, (1,)), numbers)
        return tf.reduce_sum(ordered * [256**power for power in reversed(range(count))], axis=1)

    rows = tf.where(columns(0, 2) == _ORIENTATION)

    def value() -> tf.Tensor:
        row = rows[0, 0]
        kind, count, found = columns(2, 2)[row], columns(4, 4)[row], columns(8, 2)[row]
        is_valid = (kind == _SHORT) & (count == 1) & (found >= 1) & (found <= _ORIENTATIONS)
        return tf.cast(tf.where(is_valid, found, 1), tf.int32)

    return tf.cond(tf.size(rows) > 0, value, lambda: tf.constant(1))


def _integers(text: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.io.decode_raw(text, tf.uint8), tf.int32)


def _number(text: tf.Tensor, is_little: tf.Tensor) -> tf.Tensor:
    """Return the integer in two or four bytes, int64."""
    numbers = tf.cast(_integers(text), tf.int64)
    ordered = tf.where(is_little, tf.reverse(numbers, (0,)), numbers)
    powers = tf.range(tf.size(ordered) - 1, -1, -1)
    return tf.reduce_sum(ordered * tf.cast(tf.pow(256, powers), tf.int64))

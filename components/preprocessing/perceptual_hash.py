"""The perceptual hash of a picture: the hashes of near-duplicates differ in few bits."""

import io
import math
import warnings

import imagehash
import numpy as np
from PIL import Image
from scipy import fft

from components.preprocessing.orientation import jpeg_orientation
from components.preprocessing.turn import turn

# Formats in which ingest stores pictures, by Pillow's names.
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP")
# A JPEG is decoded to at least this size, by the inverse transform of fewer coefficients. That takes less time and
# memory. Of 72 photographs, it changed two bits of 10 and none of the others.
_DECODED_SIZE = (128, 128)
_SIDE = 32
_BITS_PER_SIDE = 8
# A gray level is rounded to an integer: a standard deviation of 1 / sqrt(12). A coefficient of the transform is four
# times the sum of 32 x 32 levels, weighted by cosines whose mean square is 1 / 4. Beyond three standard deviations, a
# coefficient differs from the median by more than rounding.
_ROUNDING = 3 * 4 * math.sqrt(_SIDE * _SIDE / 4 / 12)
# Of photographs, 62 bits and more are certain, of handwritten digits 60, of a photograph with a sixteenth of its
# contrast 53, of a crop of its sky 39; of gradients, vignettes and noise of three levels at most 9.
_LEAST_CERTAIN_BITS = 32


def perceptual_hash(content: bytes) -> int | None:
    """Return the perceptual hash of a picture, which is upright as models see it.

    It is ImageHash's `phash`: for each of the 64 lowest frequencies of the picture in gray, whether its coefficient is
    greater than their median.

    Args:
        content: A picture in a format that the lake stores.

    Returns:
        64 bits as a signed integer; None for a flat picture, e.g. of one color or a gradient, and for one that Pillow
        can't decode. Rounding decides most bits of a flat picture, so its hash could equal another flat picture's.

    Raises:
        MemoryError: Memory is short.
    """
    try:
        picture = _gray(content).resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    except MemoryError:
        raise
    except Exception:
        # Pillow's decoders raise many kinds of errors.
        return None
    if _is_flat(picture):
        return None
    bits = imagehash.phash(picture, _BITS_PER_SIDE, _SIDE // _BITS_PER_SIDE).hash
    return int.from_bytes(np.packbits(bits).tobytes(), "big", signed=True)


def _gray(content: bytes) -> Image.Image:
    with warnings.catch_warnings():
        # Ingest has limited the number of pixels.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        image = Image.open(io.BytesIO(content), formats=_FORMATS)
    with image:
        image.draft("L", _DECODED_SIZE)
        # Pillow would cut values of 16 bits off at 255.
        gray = (
            Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            if image.mode.startswith("I;16")
            else image.convert("L")
        )
    return turn(gray, jpeg_orientation(content))


def _is_flat(picture: Image.Image) -> bool:
    """Return whether rounding of the gray levels may decide more than half of the bits."""
    coefficients = fft.dctn(np.asarray(picture, np.float64))[:_BITS_PER_SIDE, :_BITS_PER_SIDE]
    is_certain = np.abs(coefficients - np.median(coefficients)) > _ROUNDING
    return bool(np.count_nonzero(is_certain) < _LEAST_CERTAIN_BITS)

"""Small copies of pictures, for galleries."""

import base64
import io
from dataclasses import dataclass

from PIL import Image

from components.preprocessing.orientation import jpeg_orientation
from components.preprocessing.turn import turn

_SIDE = 176
_JPEG_QUALITY = 78
# Decoding a larger image takes gigabytes of memory.
_MAXIMUM_PIXELS = 120_000_000


@dataclass(frozen=True)
class Thumbnail:
    """A small copy of a picture.

    Attributes:
        uri: The copy, as a `data:` URI.
        width: Pixels.
        height: Pixels.
    """

    uri: str
    width: int
    height: int


def thumbnail(content: bytes, side: int = _SIDE) -> Thumbnail | None:
    """Make a small upright JPEG copy of an image, on white; None if Pillow can't read the image.

    Args:
        content: The image file.
        side: Maximum width and height of the copy, in pixels.
    """
    try:
        return _thumbnail(content, side)
    # Pillow's decoders raise OSError, SyntaxError, struct.error and others for damaged files.
    except Exception:
        return None


def _thumbnail(content: bytes, side: int) -> Thumbnail | None:
    with Image.open(io.BytesIO(content)) as image:
        if image.width * image.height > _MAXIMUM_PIXELS:
            return None
        image.draft("RGB", (2 * side, 2 * side))  # JPEG decoders can shrink an image while they decode it.
        small = _eight_bits(image)
    small.thumbnail((side, side))
    small = turn(small, jpeg_orientation(content))
    if small.mode in ("RGBA", "LA", "PA") or "transparency" in small.info:
        opaque = small.convert("RGBA")
        small = Image.new("RGB", opaque.size, "white")
        small.paste(opaque, mask=opaque.getchannel("A"))
    buffer = io.BytesIO()
    small.convert("RGB").save(buffer, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    return Thumbnail("data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode(), *small.size)


def _eight_bits(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # Pillow clips 16-bit gray instead of scaling it.
        return image.convert("I").point(lambda value: value / 256).convert("L")
    image.load()
    return image.copy()

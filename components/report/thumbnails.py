"""Small copies of pictures, for galleries."""

import base64
import io
from dataclasses import dataclass

from PIL import Image

_SIDE = 176
_JPEG_QUALITY = 78
# A page must not cost gigabytes for one picture of a thumb's size.
_MAXIMUM_PIXELS = 120_000_000


@dataclass(frozen=True)
class Thumbnail:
    """A small copy of a picture.

    Attributes:
        uri: The copy, as a `data:` URI.
        width: Its width in pixels.
        height: Its height in pixels.
    """

    uri: str
    width: int
    height: int


def thumbnail(content: bytes) -> Thumbnail | None:
    """Return a small JPEG copy of an image, on white, or None when Pillow can't read the image."""
    try:
        return _thumbnail(content)
    except (
        Exception
    ):  # Damaged files make Pillow's decoders raise nearly anything: OSError, SyntaxError, struct.error, ...
        return None


def _thumbnail(content: bytes) -> Thumbnail | None:
    with Image.open(io.BytesIO(content)) as image:
        if image.width * image.height > _MAXIMUM_PIXELS:
            return None
        image.draft("RGB", (2 * _SIDE, 2 * _SIDE))  # A JPEG is then decoded at a fraction of its size.
        small = _eight_bits(image)
    small.thumbnail((_SIDE, _SIDE))
    if small.mode in ("RGBA", "LA", "PA") or "transparency" in small.info:
        opaque = small.convert("RGBA")
        small = Image.new("RGB", opaque.size, "white")
        small.paste(opaque, mask=opaque.getchannel("A"))
    buffer = io.BytesIO()
    small.convert("RGB").save(buffer, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    return Thumbnail("data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode(), *small.size)


def _eight_bits(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # Pillow clips 16-bit grey instead of scaling it.
        return image.convert("I").point(lambda value: value / 256).convert("L")
    image.load()
    return image.copy()

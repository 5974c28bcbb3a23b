"""Which files TensorFlow decodes rightly, so that ingest keeps their bytes."""

import struct
from collections.abc import Iterator
from enum import Enum

from components.preprocessing import tiff
from components.preprocessing.header import gif_frames, image_format, jpeg_frame
from components.preprocessing.orientation import has_misplaced_orientation, stated_orientation

# Baseline, extended and progressive, coded by Huffman. TensorFlow's library has no others.
_JPEG_FRAMES = {0xC0, 0xC1, 0xC2}
_PNG_START, _PNG_OVERHEAD = 8, 12
_RIFF_START, _RIFF_HEADER = 12, 8
_GIF_GRAPHIC_CONTROL = b"!\xf9\x04"
_BMP_INFO_HEADER = 40
_WEBP_ANIMATION, _WEBP_ALPHA = 0x02, 0x10
# Color types of PNG.
_PNG_ALPHA = {4, 6}
_PNG_BITS, _PNG_COLOR = 24, 25
_EXIF = b"Exif\x00\x00"


class Storage(Enum):
    """How ingest stores a file."""

    KEPT = "its bytes"
    # Its alpha channel has to be looked at.
    KEPT_IF_OPAQUE = "its bytes if no pixel is transparent"
    CONVERTED = "converted"


def storage(content: bytes) -> Storage:
    """Return how a file is stored. A file that can be neither decoded nor converted may get any answer.

    Args:
        content: A file of a known format.
    """
    try:
        match image_format(content):
            case "jpeg":
                frame = jpeg_frame(content)
                is_usual = frame is None or (
                    frame.marker in _JPEG_FRAMES and frame.bits == 8 and frame.components in (1, 3)
                )
                kept = is_usual and not has_misplaced_orientation(content)
            case "png":
                return _png_storage(content)
            case "gif":
                kept = _is_still_gif(content)
            case "bmp":
                kept = int.from_bytes(content[14:18], "little") >= _BMP_INFO_HEADER
                kept = kept and struct.unpack_from("<HI", content, 28) == (24, 0)
            case "webp":
                kept = _is_plain_webp(content)
            case _:
                kept = False
    except struct.error:
        # Too short: TensorFlow names the reason.
        kept = True
    return Storage.KEPT if kept else Storage.CONVERTED


def is_16_bit_png(content: bytes) -> bool:
    """Return whether a file is a PNG with 16 bits in a sample."""
    return image_format(content) == "png" and content[_PNG_BITS : _PNG_BITS + 1] == b"\x10"


def exif_orientation(content: bytes) -> int:
    """Return the orientation in the EXIF of a JPEG, PNG or WebP file, 1 to 8; 1 without one.

    Args:
        content: The file.
    """
    form = image_format(content)
    if form == "jpeg":
        return stated_orientation(content)
    chunks = png_chunks(content) if form == "png" else _webp_chunks(content) if form == "webp" else ()
    for name, chunk in chunks:
        if name in (b"eXIf", b"EXIF"):
            return tiff.orientation(chunk.removeprefix(_EXIF))
    return 1


def png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and content of each whole chunk of a PNG file.

    Args:
        content: A PNG file.
    """
    position = _PNG_START
    while position + _PNG_OVERHEAD <= len(content):
        length, name = struct.unpack_from(">I4s", content, position)
        if position + _PNG_OVERHEAD + length > len(content):
            return
        yield name, content[position + 8 : position + 8 + length]
        position += _PNG_OVERHEAD + length


def _png_storage(content: bytes) -> Storage:
    # Reading the names alone copies no pixels.
    names = set(_png_names(content))
    if names & {b"tRNS", b"acTL"} or (b"eXIf" in names and exif_orientation(content) != 1):
        return Storage.CONVERTED
    has_alpha = len(content) > _PNG_COLOR and content[_PNG_COLOR] in _PNG_ALPHA
    return Storage.KEPT_IF_OPAQUE if has_alpha else Storage.KEPT


def _png_names(content: bytes) -> Iterator[bytes]:
    position = _PNG_START
    while position + _PNG_OVERHEAD <= len(content):
        length, name = struct.unpack_from(">I4s", content, position)
        yield name
        position += _PNG_OVERHEAD + length


def _webp_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = _RIFF_START
    while position + _RIFF_HEADER <= len(content):
        name, length = struct.unpack_from("<4sI", content, position)
        yield name, content[position + _RIFF_HEADER : position + _RIFF_HEADER + length]
        position += _RIFF_HEADER + length + length % 2


def _is_plain_webp(content: bytes) -> bool:
    match content[12:16]:
        case b"VP8 ":
            return True
        case b"VP8L":
            # The bit after width and height.
            return not struct.unpack_from("<I", content, 21)[0] >> 28 & 1
        case _:
            flags = content[20]
            return not flags & (_WEBP_ANIMATION | _WEBP_ALPHA) and exif_orientation(content) == 1


def _is_still_gif(content: bytes) -> bool:
    """Return whether a GIF has one opaque frame that fills its canvas."""
    frames = gif_frames(content)
    first, second = next(frames, None), next(frames, None)
    width, height = struct.unpack_from("<HH", content, 6)
    if second is not None or first not in (None, (0, 0, width, height)):
        return False
    control = content.find(_GIF_GRAPHIC_CONTROL)
    return control < 0 or not content[control + 3] & 1

"""Format and size of an image by the first bytes of its file, before decoding takes memory."""

import struct
from contextlib import suppress

# Reasons for refusing a file.
EMPTY = "empty file"
NOT_AN_IMAGE = "not an image"

_PNG = b"\x89PNG\r\n\x1a\n"
# Formats by the first bytes of their files. A WebP file is a RIFF file of the kind WEBP.
_FORMATS = {b"\xff\xd8\xff": "jpeg", _PNG: "png", b"GIF87a": "gif", b"GIF89a": "gif", b"BM": "bmp", b"RIFF": "webp"}
# Start-of-frame markers of JPEG. The three numbers in between have other meanings.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_OS2_HEADER = 12
_GIF_HEADER = 13
_GIF_FRAME, _GIF_EXTENSION = b",!"
_MARKERS_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})


def header_error(content: bytes, maximum_pixels: int) -> str | None:
    """Return why a file is not a valid image by its header, in a few words; None if the header is valid.

    Args:
        content: The file.
        maximum_pixels: Maximum of width times height, for a GIF in all frames together.
    """
    if not content:
        return EMPTY
    pixels = decoded_pixels(content)
    if pixels is None:
        return NOT_AN_IMAGE
    return too_many_pixels(maximum_pixels) if pixels > maximum_pixels else None


def too_many_pixels(maximum: int) -> str:
    """Return the reason for refusing an image of more than `maximum` pixels."""
    return f"more than {maximum} pixels"


def image_format(content: bytes) -> str | None:
    """Return the format of a file, e.g. `jpeg`; None unless `image_size` can read its header."""
    if image_size(content) is None:
        return None
    return next(name for start, name in _FORMATS.items() if content.startswith(start))


def decoded_pixels(content: bytes) -> int | None:
    """Return the pixels that TensorFlow's decoder holds at once; None unless `image_size` can read the header.

    It unpacks all frames of a GIF, also if only the first is used. A frame can be larger than the canvas.

    Args:
        content: The file.
    """
    size = image_size(content)
    if size is None:
        return None
    pixels = size[0] * size[1]
    return max(pixels, _gif_pixels(content)) if content.startswith(b"GIF8") else pixels


def image_size(content: bytes) -> tuple[int, int] | None:
    """Return width and height from the header of an image file, in pixels.

    Args:
        content: The file.

    Returns:
        Width and height; None if the file is not a JPEG, PNG, GIF, BMP or WebP, or if its header is incomplete.
    """
    try:
        if content.startswith(b"\xff\xd8\xff"):
            return _jpeg_size(content)
        if content.startswith(_PNG):
            # Apple's variant has another chunk before the header.
            width, height = struct.unpack_from(">II", content, 32 if content[12:16] == b"CgBI" else 16)
        elif content.startswith((b"GIF87a", b"GIF89a")):
            width, height = struct.unpack_from("<HH", content, 6)
        elif content.startswith(b"BM"):
            (header_length,) = struct.unpack_from("<I", content, 14)
            width, height = struct.unpack_from("<HH" if header_length == _OS2_HEADER else "<ii", content, 18)
        elif content.startswith(b"RIFF") and content[8:12] == b"WEBP":
            return _webp_size(content)
        else:
            return None
    except struct.error:
        return None
    # A BMP with a negative height has its rows from top to bottom.
    return abs(width), abs(height)


def _jpeg_size(content: bytes) -> tuple[int, int] | None:
    position = 2
    # Decoders skip bytes between two segments, up to the next marker.
    while (position := content.find(b"\xff", position)) >= 0:
        (marker,) = struct.unpack_from("B", content, position + 1)
        if marker == 0xFF:  # a fill byte before the marker
            position += 1
        elif marker in _MARKERS_WITHOUT_LENGTH:
            position += 2
        elif marker in _FRAMES:
            height, width = struct.unpack_from(">HH", content, position + 5)
            return width, height
        else:
            (length,) = struct.unpack_from(">H", content, position + 2)
            position += 2 + length
    return None


def _gif_pixels(content: bytes) -> int:
    """Return the sum of the pixels of all frames, up to the end of the file or to damaged bytes."""
    pixels = 0
    position = _GIF_HEADER + _color_table(content[10])
    # An index beyond the end of the file: it is truncated.
    with suppress(IndexError, struct.error):
        while content[position] in (_GIF_FRAME, _GIF_EXTENSION):
            if content[position] == _GIF_FRAME:
                width, height, flags = struct.unpack_from("<HHB", content, position + 5)
                pixels += width * height
                position += 11 + _color_table(flags)
            else:
                position += 2
            while content[position]:
                position += 1 + content[position]
            position += 1
    return pixels


def _color_table(flags: int) -> int:
    """Return the length of a GIF's color table in bytes."""
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _webp_size(content: bytes) -> tuple[int, int] | None:
    if content[12:16] == b"VP8X":
        low_width, high_width, low_height, high_height = struct.unpack_from("<HBHB", content, 24)
        return low_width + (high_width << 16) + 1, low_height + (high_height << 16) + 1
    if content[12:16] == b"VP8L":
        (packed,) = struct.unpack_from("<I", content, 21)
        return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    if content[12:16] == b"VP8 ":
        width, height = struct.unpack_from("<HH", content, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None

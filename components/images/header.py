"""How large an image is, by the first bytes of its file: known before memory is spent on its pixels."""

import struct

# What there is to say of a file without a header.
EMPTY = "empty file"

_PNG = b"\x89PNG\r\n\x1a\n"
# Start-of-frame markers of JPEG; the three numbers left out in between mean other things.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_MARKERS_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})


def image_size(content: bytes) -> tuple[int, int] | None:
    """Return width and height as the header says, or None where the bytes are no JPEG, PNG, GIF, BMP or WebP file.

    Args:
        content: The file.
    """
    try:
        if content.startswith(b"\xff\xd8\xff"):
            return _jpeg_size(content)
        if content.startswith(_PNG):
            width, height = struct.unpack_from(">II", content, 16)
        elif content.startswith((b"GIF87a", b"GIF89a")):
            width, height = struct.unpack_from("<HH", content, 6)
        elif content.startswith(b"BM"):
            width, height = struct.unpack_from("<ii", content, 18)
        elif content.startswith(b"RIFF") and content[8:12] == b"WEBP":
            return _webp_size(content)
        else:
            return None
    except struct.error:
        return None
    # In BMP, a negative height means that rows go from top to bottom.
    return abs(width), abs(height)


def _jpeg_size(content: bytes) -> tuple[int, int] | None:
    position = 2
    # Decoders skip what stands between two segments, up to the next marker.
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

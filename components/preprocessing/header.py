"""Format and size of an image by the first bytes of its file, before decoding takes memory."""

import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from components.preprocessing.file_kinds import NOT_AN_IMAGE, refused_kind

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG, _TIFF = b"\xff\xd8\xff", (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_JPEG_2000 = b"\x00\x00\x00\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_AVIF_BRANDS = {b"avif", b"avis"}
# Brands of containers, which do not name the coding.
_HEIF_BRANDS = {b"mif1", b"msf1", b"mif2", b"miaf"}
# Start-of-frame markers of JPEG. The three numbers in between have other meanings.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_OS2_HEADER = 12
_BMP_HEADERS = {_OS2_HEADER, 16, 40, 52, 56, 64, 108, 124}
_GIF_HEADER = 13
_GIF_FRAME, _GIF_EXTENSION = b",!"
_MARKERS_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})


def header_error(content: bytes, maximum_pixels: int) -> str | None:
    """Return why a file is not a valid image by its header, in a few words; None if nothing speaks against it.

    Args:
        content: The file.
        maximum_pixels: Maximum of width times height, for a GIF in all frames together.
    """
    kind = refused_kind(content)
    if kind is not None:
        return kind
    form = image_format(content)
    if form is None:
        return NOT_AN_IMAGE
    if form == "png" and content[12:16] == b"CgBI":
        return "PNG of Apple's own kind (CgBI). Convert it to a standard PNG"
    if form not in SIZED_FORMATS:
        return None
    pixels = decoded_pixels(content)
    if pixels is None:
        return f"can't be decoded: the header of the {form.upper()} file is incomplete"
    if pixels == 0:
        return f"can't be decoded: the {form.upper()} file has no pixels"
    return too_many_pixels(maximum_pixels) if pixels > maximum_pixels else None


def too_many_pixels(maximum: int) -> str:
    """Return the reason for refusing an image of more than `maximum` pixels."""
    return f"more than {maximum} pixels"


# Formats whose size `image_size` reads. Libraries read the headers of the others.
SIZED_FORMATS = frozenset({"jpeg", "png", "gif", "bmp", "webp"})


def image_format(content: bytes) -> str | None:
    """Return the format of a file by its first bytes, e.g. `jpeg`; None for anything that ingest does not decode.

    Args:
        content: The file.

    Returns:
        One of jpeg, png, gif, bmp, webp, heic, avif, tiff, jpeg2000; or None.
    """
    if content.startswith(_JPEG):
        return "jpeg"
    if content.startswith(_PNG):
        return "png"
    if content.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return "webp"
    # Any text may begin with BM.
    if content.startswith(b"BM") and int.from_bytes(content[14:18], "little") in _BMP_HEADERS:
        return "bmp"
    if content.startswith(_TIFF):
        return "tiff"
    if content.startswith(_JPEG_2000):
        return "jpeg2000"
    return _heif_format(content) if content[4:8] == b"ftyp" else None


def _heif_format(content: bytes) -> str | None:
    length = min(int.from_bytes(content[:4], "big"), 1024)
    major = content[8:12]
    brands = {major, *(content[start : start + 4] for start in range(16, length, 4))}
    if major in _AVIF_BRANDS or (major in _HEIF_BRANDS and brands & _AVIF_BRANDS):
        return "avif"
    return "heic" if brands & (_HEIC_BRANDS | _HEIF_BRANDS) else None


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
    if not content.startswith(b"GIF8"):
        return pixels
    return max(pixels, sum(width * height for _, _, width, height in gif_frames(content)))


def image_size(content: bytes) -> tuple[int, int] | None:
    """Return width and height from the header of an image file, in pixels.

    Args:
        content: The file.

    Returns:
        Width and height; None if the file is not a JPEG, PNG, GIF, BMP or WebP, or if its header is incomplete.
    """
    try:
        match image_format(content):
            case "jpeg":
                frame = jpeg_frame(content)
                return frame and (frame.width, frame.height)
            case "png":
                # Apple's variant has another chunk before the header.
                return _pair(">II", content, 32 if content[12:16] == b"CgBI" else 16)
            case "gif":
                return _pair("<HH", content, 6)
            case "bmp":
                (header_length,) = struct.unpack_from("<I", content, 14)
                width, height = _pair("<HH" if header_length == _OS2_HEADER else "<ii", content, 18)
                # With a negative height, the rows are from top to bottom.
                return abs(width), abs(height)
            case "webp":
                return _webp_size(content)
    except struct.error:
        pass
    return None


def _pair(form: str, content: bytes, position: int) -> tuple[int, int]:
    first, second = struct.unpack_from(form, content, position)
    return first, second


class JpegFrame(NamedTuple):
    """The header of a JPEG's frame.

    Attributes:
        marker: Marker of the frame, 0xC0 to 0xCF, which names the way of coding.
        bits: Bits of a sample.
        width: Pixels.
        height: Pixels.
        components: Number of color components.
    """

    marker: int
    bits: int
    width: int
    height: int
    components: int


def jpeg_frame(content: bytes) -> JpegFrame | None:
    """Return the header of a JPEG's frame; None if it is missing.

    Args:
        content: A JPEG file.

    Raises:
        struct.error: The file ends within the header.
    """
    position = 2
    # Decoders skip bytes between two segments, up to the next marker.
    while (position := content.find(b"\xff", position)) >= 0:
        (marker,) = struct.unpack_from("B", content, position + 1)
        if marker == 0xFF:  # a fill byte before the marker
            position += 1
        elif marker in _MARKERS_WITHOUT_LENGTH:
            position += 2
        elif marker in _FRAMES:
            bits, height, width, components = struct.unpack_from(">BHHB", content, position + 4)
            return JpegFrame(marker, bits, width, height, components)
        else:
            (length,) = struct.unpack_from(">H", content, position + 2)
            position += 2 + length
    return None


def gif_frames(content: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield left, top, width and height of each frame of a GIF, up to the end of the file or to damaged bytes.

    Args:
        content: A GIF file.
    """
    # An index beyond the end of the file: it is truncated.
    with suppress(IndexError, struct.error):
        position = _GIF_HEADER + _color_table(content[10])
        while content[position] in (_GIF_FRAME, _GIF_EXTENSION):
            if content[position] == _GIF_FRAME:
                left, top, width, height, flags = struct.unpack_from("<HHHHB", content, position + 1)
                yield left, top, width, height
                position += 11 + _color_table(flags)
            else:
                position += 2
            while content[position]:
                position += 1 + content[position]
            position += 1


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

"""The orientation that a JPEG's EXIF states. `upright` finds the same in TensorFlow's graph."""

from collections.abc import Iterator

from components.preprocessing import tiff

# Segments of metadata before the picture. A large color profile takes some hundred.
MAXIMUM_SEGMENTS = 512
EXIF = b"Exif\x00\x00"
FIRST_APPLICATION, APP1, LAST_APPLICATION, COMMENT = 0xE0, 0xE1, 0xEF, 0xFE
_START, _FILL = b"\xff\xd8\xff", 0xFF
_END_OF_IMAGE, _START_OF_SCAN = 0xD9, 0xDA
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}


def jpeg_orientation(content: bytes) -> int:
    """Return the orientation in the EXIF of a JPEG, 1 to 8; 1 without one or if it is damaged.

    EXIF is an APP1 segment at the begin of the file, where only other APP segments and comments may precede it. XMP
    plays no role.

    Args:
        content: Any file.
    """
    if not content.startswith(_START):
        return 1
    position = 2
    for _ in range(MAXIMUM_SEGMENTS):
        marker = content[position + 1] if position + 4 <= len(content) and content[position] == _FILL else 0
        if not (FIRST_APPLICATION <= marker <= LAST_APPLICATION or marker == COMMENT):
            return 1
        end = _segment_end(content, position)
        if marker == APP1 and content.startswith(EXIF, position + 4, end):
            return _read(content, position, end)
        position = end
    return 1


def has_misplaced_orientation(content: bytes) -> bool:
    """Return whether a JPEG has an orientation where `jpeg_orientation` does not look, but other programs do.

    Args:
        content: A JPEG file.
    """
    return stated_orientation(content) != jpeg_orientation(content)


def stated_orientation(content: bytes) -> int:
    """Return the orientation in the first EXIF segment of a JPEG anywhere before its picture, 1 to 8.

    Other programs pass over bytes between two segments, and also take EXIF from behind the first table.

    Args:
        content: A JPEG file.
    """
    return next((_read(content, start, end) for start, end in _exif_segments(content)), 1)


def _exif_segments(content: bytes) -> Iterator[tuple[int, int]]:
    position = 2
    while (position := content.find(b"\xff", position)) >= 0 and position + 4 <= len(content):
        marker = content[position + 1]
        if marker in (_END_OF_IMAGE, _START_OF_SCAN):
            return
        if marker in (_FILL, 0):
            position += 1
        elif marker in _WITHOUT_LENGTH:
            position += 2
        else:
            end = _segment_end(content, position)
            if marker == APP1 and content.startswith(EXIF, position + 4, end):
                yield position, end
            position = end


def _segment_end(content: bytes, position: int) -> int:
    return position + 2 + int.from_bytes(content[position + 2 : position + 4], "big")


def _read(content: bytes, position: int, end: int) -> int:
    return tiff.orientation(content[position + 4 + len(EXIF) : end])

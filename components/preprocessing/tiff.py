"""Directories of TIFF, which are also those of EXIF and of most raw photographs."""

import struct
from collections.abc import Iterator

_ORDERS = {b"II*\x00": "<", b"MM\x00*": ">"}
_ENTRY_BYTES = 12
_SHORT, _LONG = 3, 4
_NEW_SUBFILE_TYPE, _PHOTOMETRIC, _ORIENTATION, _SUB_DIRECTORIES, _DNG_VERSION = 254, 262, 274, 330, 50706
_REDUCED_RESOLUTION = 1
# Color filter array and linear raw.
_RAW_PHOTOMETRICS = {32803, 34892}
_ORIENTATIONS = 8
_LARGEST_COUNT = 16


def orientation(content: bytes) -> int:
    """Return the orientation that the first directory states, 1 to 8; 1 if it states none or is damaged.

    Args:
        content: TIFF's header and all that follows, e.g. a segment of EXIF.
    """
    order = _ORDERS.get(content[:4])
    if order is None or len(content) < 8:
        return 1
    for tag, kind, count, value in _entries(content, order, struct.unpack_from(f"{order}I", content, 4)[0]):
        if tag == _ORIENTATION:
            stated = int(struct.unpack_from(f"{order}H", value)[0])
            return stated if kind == _SHORT and count == 1 and 1 <= stated <= _ORIENTATIONS else 1
    return 1


def is_raw_photograph(content: bytes) -> bool:
    """Return whether a TIFF file is a raw photograph, e.g. DNG, NEF, CR2 or ARW.

    Decoders of TIFF take the thumbnail in its first directory for the picture.

    Args:
        content: Any file.
    """
    order = _ORDERS.get(content[:4])
    if order is None or len(content) < 8:
        return False
    if content[8:10] == b"CR":
        return True
    first = _numbers(content, order, struct.unpack_from(f"{order}I", content, 4)[0])
    if _DNG_VERSION in first:
        return True
    is_thumbnail = bool(first.get(_NEW_SUBFILE_TYPE, [0])[0] & _REDUCED_RESOLUTION)
    others = [_numbers(content, order, offset) for offset in first.get(_SUB_DIRECTORIES, [])]
    if is_thumbnail and others:
        return True
    return any(each.get(_PHOTOMETRIC, [0])[0] in _RAW_PHOTOMETRICS for each in (first, *others))


def _numbers(content: bytes, order: str, offset: int) -> dict[int, list[int]]:
    """Return the integers of a directory, by tag. The values of other types are 0."""
    found: dict[int, list[int]] = {}
    for tag, kind, count, value in _entries(content, order, offset):
        letter = {_SHORT: "H", _LONG: "I", 13: "I"}.get(kind)
        if letter is None or not 0 < count <= _LARGEST_COUNT:
            found.setdefault(tag, [0])
            continue
        pattern = f"{order}{count}{letter}"
        source, position = value, 0
        if struct.calcsize(pattern) > len(value):
            source, position = content, struct.unpack(f"{order}I", value)[0]
        if position + struct.calcsize(pattern) <= len(source):
            found.setdefault(tag, list(struct.unpack_from(pattern, source, position)))
    return found


def _entries(content: bytes, order: str, offset: int) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield tag, type, count and the four bytes of the value of each complete entry of a directory."""
    if offset + 2 > len(content):
        return
    (count,) = struct.unpack_from(f"{order}H", content, offset)
    for number in range(count):
        position = offset + 2 + _ENTRY_BYTES * number
        if position + _ENTRY_BYTES > len(content):
            return
        tag, kind, values = struct.unpack_from(f"{order}HHI", content, position)
        yield tag, kind, values, content[position + 8 : position + _ENTRY_BYTES]

"""The picture that ingest stores for a file: its bytes, or a conversion."""

from typing import NamedTuple

from components.preprocessing.conversion import ConversionError, convert, is_opaque
from components.preprocessing.kept import Storage, is_16_bit_png, storage
from components.preprocessing.validation import decoded_error


class StoredPicture(NamedTuple):
    """What ingest stores for a file.

    Attributes:
        reason: Why the file is not accepted, in a few words; None if it is.
        converted: The picture to store in place of the file; None if the file is stored as it is, or not at all.
    """

    reason: str | None
    converted: bytes | None = None


def stored_picture(content: bytes, maximum_pixels: int) -> StoredPicture:
    """Return the picture that ingest stores for a file with a valid header.

    Training and scoring decode the result with the same function, so they accept it too.

    Args:
        content: The file.
        maximum_pixels: Maximum of width times height of the decoded image.

    Raises:
        MemoryError: Memory is short.
    """
    try:
        converted = convert(content, maximum_pixels) if _needs_conversion(content) else None
    except ConversionError as error:
        return StoredPicture(str(error))
    reason = decoded_error(content if converted is None else converted, maximum_pixels)
    return StoredPicture(reason, None if reason else converted)


def _needs_conversion(content: bytes) -> bool:
    found = storage(content)
    if found is Storage.KEPT_IF_OPAQUE or (found is Storage.KEPT and is_16_bit_png(content)):
        return not is_opaque(content)
    return found is Storage.CONVERTED

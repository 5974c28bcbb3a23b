"""Decode the files of annotations."""

import json

from components.labeling.formats.annotation import LeftOut

# What programs save under a text file's name by mistake, by the first bytes.
_BINARY = {
    b"PK\x03\x04": "an Excel workbook or a ZIP archive",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"\x1f\x8b": "a gzip archive",
    b"PAR1": "a Parquet file",
    b"%PDF": "a PDF document",
}


def decode(content: bytes) -> str | LeftOut:
    """Return the text of a file in UTF-8, UTF-16 or UTF-32, with or without a byte order mark.

    Returns:
        The text without the byte order mark, or the reason why the file has none.
    """
    for start, kind in _BINARY.items():
        if content.startswith(start):
            return LeftOut(f"The file is {kind}, whatever its name. Export it as CSV, JSON or JSON lines.")
    encoding = json.detect_encoding(content)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        name = encoding.removesuffix("-sig").upper()
        alternative = "UTF-8" if name != "UTF-8" else "UTF-8 or UTF-16"
        return LeftOut(f"The file is not {name} (byte {error.start + 1}). Export it as {alternative}.")
    return text.removeprefix("\ufeff")

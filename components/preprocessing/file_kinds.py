"""Names of files that are no usable image, by their first bytes: placeholders, archives, raw photographs and others."""

import re

from components.preprocessing.tiff import is_raw_photograph

# Reasons for refusing a file.
EMPTY = "placeholder: empty file"
NOT_AN_IMAGE = "not an image"

_CONVERT = "Convert it to JPEG or PNG"
_RAW = f"raw photograph. {_CONVERT}"
_VIDEO = "video, not an image"
_ARCHIVE = "Unpack it"
_HTML = "HTML page, not an image"

# Signatures, by their position in the file.
_KINDS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"version https://git-lfs.github.com/spec/", "placeholder: Git LFS pointer. Run 'git lfs pull'"),
    (0, b"version https://hawser.github.com/spec/", "placeholder: Git LFS pointer. Run 'git lfs pull'"),
    (0, b"\x00\x00\x00\x0cJXL \r\n\x87\n", f"JPEG XL. {_CONVERT}"),
    (0, b"\xff\x0a", f"JPEG XL. {_CONVERT}"),
    (0, b"\xff\xd8\xff\xf7", f"JPEG-LS. {_CONVERT}"),
    (0, b"II\xbc", f"JPEG XR. {_CONVERT}"),
    (128, b"DICM", f"DICOM. {_CONVERT}"),
    (0, b"FUJIFILMCCD-RAW", _RAW),
    (0, b"IIRO", _RAW),
    (0, b"IIRS", _RAW),
    (0, b"MMOR", _RAW),
    (0, b"IIU\x00", _RAW),
    (0, b"FOVb", _RAW),
    (0, b"\x00MRM", _RAW),
    (0, b"IIII", _RAW),
    (0, b"MMMM", _RAW),
    (0, b"II\x1a\x00\x00\x00HEAPCCDR", _RAW),
    (4, b"ftypcrx ", _RAW),
    (0, b"8BPS", f"Photoshop document. {_CONVERT}"),
    (0, b"gimp xcf", f"GIMP document. {_CONVERT}"),
    (0, b"%!PS", f"PostScript. {_CONVERT}"),
    (0, b"\xc5\xd0\xd3\xc6", f"PostScript. {_CONVERT}"),
    (0, b"AT&TFORM", f"DjVu. {_CONVERT}"),
    (0, b"v/1\x01", f"OpenEXR. {_CONVERT}"),
    (0, b"#?RADIANCE", f"Radiance HDR. {_CONVERT}"),
    (0, b"DDS ", f"DirectDraw surface. {_CONVERT}"),
    (0, b"qoif", f"QOI. {_CONVERT}"),
    (0, b"BPG\xfb", f"BPG. {_CONVERT}"),
    (0, b"FLIF", f"FLIF. {_CONVERT}"),
    (0, b"\x8aMNG\r\n\x1a\n", f"MNG. {_CONVERT}"),
    (0, b"\x8bJNG\r\n\x1a\n", f"JNG. {_CONVERT}"),
    (0, b"\x97JB2\r\n\x1a\n", f"JBIG2. {_CONVERT}"),
    (0, b"\x0a\x05\x01\x08", f"PCX. {_CONVERT}"),
    (0, b"\x01\xda\x00", f"SGI. {_CONVERT}"),
    (0, b"\x01\xda\x01", f"SGI. {_CONVERT}"),
    (0, b"\x59\xa6\x6a\x95", f"Sun raster. {_CONVERT}"),
    (0, b"\xd7\xcd\xc6\x9a", f"Windows metafile. {_CONVERT}"),
    (40, b" EMF", f"Windows metafile. {_CONVERT}"),
    (0, b"/* XPM */", f"XPM. {_CONVERT}"),
    (0, b"\x00\x00\x01\x00", f"icon. {_CONVERT}"),
    (0, b"icns", f"icon. {_CONVERT}"),
    (0, b"SIMPLE  =", f"FITS. {_CONVERT}"),
    (0, b"\x89HDF\r\n\x1a\n", "HDF5 file, not an image"),
    (0, b"\x93NUMPY", "NumPy array, not an image"),
    (0, b"\x00\x05\x16\x07", "metadata of macOS (AppleDouble), not an image"),
    (0, b"PK\x03\x04", f"ZIP archive. {_ARCHIVE}"),
    (0, b"PK\x05\x06", f"ZIP archive. {_ARCHIVE}"),
    (0, b"PK\x07\x08", f"ZIP archive. {_ARCHIVE}"),
    (0, b"\x1f\x8b", f"gzip archive. {_ARCHIVE}"),
    (0, b"BZh", f"bzip2 archive. {_ARCHIVE}"),
    (0, b"\xfd7zXZ\x00", f"xz archive. {_ARCHIVE}"),
    (0, b"7z\xbc\xaf\x27\x1c", f"7z archive. {_ARCHIVE}"),
    (0, b"Rar!\x1a\x07", f"RAR archive. {_ARCHIVE}"),
    (0, b"\x28\xb5\x2f\xfd", f"Zstandard archive. {_ARCHIVE}"),
    (0, b"\x04\x22\x4d\x18", f"LZ4 archive. {_ARCHIVE}"),
    (0, b"MSCF", f"cabinet archive. {_ARCHIVE}"),
    (257, b"ustar", f"tar archive. {_ARCHIVE}"),
    (0, b"PAR1", "Parquet file, not an image"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "Office document, not an image"),
    (0, b"\x1a\x45\xdf\xa3", _VIDEO),
    (0, b"FLV\x01", _VIDEO),
    (0, b"\x00\x00\x01\xba", _VIDEO),
    (0, b"\x00\x00\x01\xb3", _VIDEO),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", _VIDEO),
    (8, b"AVI LIST", _VIDEO),
    (8, b"WAVEfmt ", "sound, not an image"),
    (4, b"moov", _VIDEO),
    (4, b"mdat", _VIDEO),
    (4, b"ftypqt", _VIDEO),
    (4, b"ftypisom", _VIDEO),
    (4, b"ftypiso2", _VIDEO),
    (4, b"ftypmp4", _VIDEO),
    (4, b"ftypM4V", _VIDEO),
    (4, b"ftyp3g", _VIDEO),
    (4, b"ftypavc1", _VIDEO),
)
_TARGA_END = b"TRUEVISION-XFILE.\x00"
_ANYMAP = re.compile(rb"P[1-7fF]\s")
# The header of a PDF may follow other bytes.
_PDF_START = 1024
_TEXT_START = 4096
# iCloud's placeholder is a binary property list with these keys.
_ICLOUD = b"NSURLNameKey", b"NSURLFileSizeKey", b"NSURLFileResourceTypeKey"


def refused_kind(content: bytes) -> str | None:
    """Return what a file is that ingest refuses by name, e.g. a ZIP archive; None for any other file.

    Args:
        content: The file.
    """
    if not content:
        return EMPTY
    for position, signature, kind in _KINDS:
        if content.startswith(signature, position):
            return kind
    if is_raw_photograph(content):
        return _RAW
    if _ANYMAP.match(content):
        return f"portable anymap (PBM, PGM, PPM). {_CONVERT}"
    if content.endswith(_TARGA_END):
        return f"Targa. {_CONVERT}"
    if content.startswith(b"bplist00") and any(key in content[:_TEXT_START] for key in _ICLOUD):
        return "placeholder: iCloud has not downloaded the file"
    if content[0] == 0 and not content.strip(b"\x00"):
        return "placeholder: zero bytes only"
    # Photographs can contain any text; only a file that begins as text is searched.
    if content[0] in b"%<\xef\xff\xfe \t\r\n":
        return _text_kind(content)
    return None


def _text_kind(content: bytes) -> str | None:
    if content.startswith((b"\xff\xd8\xff", b"\xff\x4f\xff\x51")):
        return None
    start = content[:_TEXT_START].replace(b"\x00", b"").lower()
    if b"%pdf-" in start[:_PDF_START]:
        return f"PDF. {_CONVERT}"
    text = start.removeprefix(b"\xef\xbb\xbf").removeprefix(b"\xff\xfe").removeprefix(b"\xfe\xff").lstrip()
    if not text.startswith(b"<"):
        return None
    if b"<svg" in text or b"<!doctype svg" in text:
        return f"SVG. {_CONVERT}"
    if b"<html" in text or text.startswith(b"<!doctype html"):
        return _HTML
    return None

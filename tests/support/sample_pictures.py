"""One picture in many formats and variants, whose right pixels are known by construction.

The HEIC files are by pillow-heif's encoder (libheif with x265). `picture.png` is the picture.
"""

import io
import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from tests.support.hostile_images import gif_of_frames
from tests.support.paths import REPOSITORY

Pixels = npt.NDArray[np.uint8]

FOLDER = REPOSITORY / "tests" / "fixtures" / "pictures"
PICTURE = Image.open(FOLDER / "picture.png").convert("RGB")
RIGHT: Pixels = np.asarray(PICTURE)
GRAY = PICTURE.convert("L")
INDEXED = PICTURE.quantize(64)
_ORIENTATION = 0x0112
# How a camera stores an upright picture under each orientation.
_STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
# Rows that are transparent in pictures with an alpha channel.
_CLEAR_ROWS = 20
# Levels of 255 by which a lossy format may differ in the mean. Another picture differs by 60 and more.
LOSSY = 4.0
EXACT = 0.0


@dataclass(frozen=True)
class Sample:
    """A file and its right pixels.

    Attributes:
        content: The file.
        pixels: Its pixels, height x width x 3; None if it is refused.
        tolerance: Mean difference from the pixels that is allowed.
    """

    content: bytes
    pixels: Pixels | None = None
    tolerance: float = EXACT


def encode(form: str, image: Image.Image = PICTURE, **options: Any) -> bytes:
    """Return an image as a file."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def jpeg(image: Image.Image = PICTURE, **options: Any) -> bytes:
    """Return an image as a JPEG of high quality."""
    return encode("JPEG", image, quality=95, subsampling=0, **options)


def exif(orientation: int) -> bytes:
    """Return EXIF with an orientation."""
    tags = Image.Exif()
    tags[_ORIENTATION] = orientation
    return tags.tobytes()


def lying(orientation: int) -> Image.Image:
    """Return the picture as a camera stores it under an orientation."""
    method = _STORED[orientation]
    return PICTURE if method is None else PICTURE.transpose(method)


def rgb(image: Image.Image) -> Pixels:
    """Return the pixels of an opaque image."""
    return np.asarray(image.convert("RGB"))


def fixture(name: str) -> bytes:
    """Return a committed file."""
    return (FOLDER / name).read_bytes()


def with_alpha(image: Image.Image = PICTURE) -> Image.Image:
    """Return an image whose first rows are transparent."""
    alpha = Image.new("L", image.size, 255)
    alpha.paste(0, (0, 0, image.width, _CLEAR_ROWS))
    copy = image.convert("RGBA")
    copy.putalpha(alpha)
    return copy


def on_white(pixels: Pixels = RIGHT) -> Pixels:
    """Return the right pixels of a picture with `with_alpha`."""
    copy = pixels.copy()
    copy[:_CLEAR_ROWS] = 255
    return copy


def left_on_white() -> Pixels:
    """Return the right pixels of a picture of which only the first 40 columns are opaque."""
    copy = RIGHT.copy()
    copy[:, 40:] = 255
    return copy


def png(width: int, height: int, bits: int, color: int, rows: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """Return a PNG of raw rows, each with its filter byte; further chunks are before the pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    body = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in body)


def png_of(values: npt.NDArray[Any], bits: int, color: int) -> bytes:
    """Return a PNG of values, height x width x channels."""
    big_endian = values.astype(">u2" if bits == 16 else "u1")
    rows = b"".join(b"\0" + row.tobytes() for row in big_endian)
    return png(values.shape[1], values.shape[0], bits, color, rows)


def bmp(bits: int, rows: bytes, palette: bytes = b"", compression: int = 0, masks: bytes = b"") -> bytes:
    """Return a BMP with the picture's size, whose rows are from bottom to top."""
    start = 14 + 40 + len(masks) + len(palette)
    header = struct.pack("<IiiHHIIiiII", 40, *PICTURE.size, 1, bits, compression, len(rows), 0, 0, len(palette) // 4, 0)
    return b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start) + header + masks + palette + rows


def indexed_bmps() -> list[Sample]:
    """Return BMP files of 8 bits with run lengths, of 4 bits and of 1 bit, with palettes."""
    colors = np.asarray(INDEXED.getpalette(), np.uint8).reshape(-1, 3)
    indices = np.asarray(INDEXED)
    runs = b"".join(b"".join(bytes([1, index]) for index in row) + b"\0\0" for row in indices[::-1].tolist()) + b"\0\1"
    palette = b"".join(bytes([blue, green, red, 0]) for red, green, blue in colors.tolist())
    few = indices % 16
    nibbles = (few[::-1, ::2] << 4 | few[::-1, 1::2]).astype(np.uint8).tobytes()
    two = indices % 2
    black_and_white = np.packbits(two[::-1], axis=1).tobytes()
    two_colors = np.asarray([[40, 200, 20], [230, 20, 220]], np.uint8)
    return [
        Sample(bmp(8, runs, palette, compression=1), colors[indices]),
        Sample(bmp(4, nibbles, palette[:64]), colors[few]),
        Sample(bmp(1, black_and_white, b"\x14\xc8\x28\0\xdc\x14\xe6\0"), two_colors[two]),
    ]


def direct_bmps() -> list[Sample]:
    """Return BMP files of 16 and 32 bits."""
    red, green, blue = (RIGHT[::-1, :, channel].astype(np.uint16) for channel in range(3))
    packed = (red >> 3 << 11 | green >> 2 << 5 | blue >> 3).astype("<u2").tobytes()
    masks = struct.pack("<III", 0xF800, 0x07E0, 0x001F)
    wide = np.dstack([RIGHT[::-1, :, ::-1], np.zeros(RIGHT.shape[:2], np.uint8)]).tobytes()
    return [Sample(bmp(16, packed, compression=3, masks=masks), RIGHT, LOSSY), Sample(bmp(32, wide), RIGHT)]


def placed_gif() -> Sample:
    """Return a GIF whose only frame covers a part of its canvas."""
    content = encode("GIF", INDEXED)
    position = content.index(b",", 13 + 3 * 2 ** ((content[10] & 7) + 1))
    canvas = struct.pack("<HH", PICTURE.width + 30, PICTURE.height + 20)
    moved = content[:6] + canvas + content[10 : position + 1] + struct.pack("<HH", 10, 5) + content[position + 5 :]
    pixels = np.full((PICTURE.height + 20, PICTURE.width + 30, 3), 255, np.uint8)
    pixels[5 : 5 + PICTURE.height, 10 : 10 + PICTURE.width] = rgb(INDEXED)
    return Sample(moved, pixels)


def clear_pngs() -> list[Sample]:
    """Return PNG files with a transparent color, of 8 and 16 bits, in color and gray."""
    color, gray = RIGHT[50, 80], np.asarray(GRAY)
    found = []
    for bits, scale in ((8, 1), (16, 257)):
        for values, clear, kind in ((RIGHT, color, 2), (gray[..., None], gray[50, 80:81], 0)):
            key = b"".join(struct.pack(">H", int(value) * scale) for value in clear)
            rows = b"".join(
                b"\0" + row.tobytes() for row in (values.astype(np.uint16) * scale).astype("u1" if bits == 8 else ">u2")
            )
            white = np.where((values == clear).all(axis=2, keepdims=True), 255, values).astype(np.uint8)
            pixels = np.broadcast_to(white, RIGHT.shape)
            found.append(Sample(png(*PICTURE.size, bits, kind, rows, (b"tRNS", key)), pixels))
    return found


def broken_exif_png() -> bytes:
    """Return a transparent PNG whose EXIF has a wrong checksum."""
    content = encode("PNG", with_alpha(), exif=exif(1))
    end = content.index(b"IDAT") - 4
    return content[: end - 4] + b"oops" + content[end:]


def broken_exif_avif() -> bytes:
    """Return an AVIF whose EXIF names a directory beyond its end."""
    tags = Image.Exif()
    tags[0x010E] = "a description"
    content = encode("AVIF", quality=95, exif=tags.tobytes())
    header = tags.tobytes().removeprefix(b"Exif\0\0")[:8]
    assert header in content
    return content.replace(header, header[:4] + b"\xff\xff\xff\xff")


def clear_index() -> int:
    """Return the index of the color that is transparent in some files."""
    return int(np.asarray(INDEXED)[50, 80])


def clear_gif() -> Sample:
    """Return a GIF with a transparent color."""
    clear = clear_index()
    pixels = rgb(INDEXED).copy()
    pixels[np.asarray(INDEXED) == clear] = 255
    return Sample(encode("GIF", INDEXED, transparency=clear), pixels)


def sixteen_bits(scale: int = 257) -> Image.Image:
    """Return the gray picture with values of 16 bits."""
    return Image.fromarray((np.asarray(GRAY).astype(np.uint16) * scale).astype(np.uint16))


def inverse_tiff() -> Sample:
    """Return a TIFF of 16 bits in which 0 is white."""
    content = encode("TIFF", sixteen_bits())
    entry = struct.pack("<HHIH", 262, 3, 1, 1)
    assert entry in content
    return Sample(content.replace(entry, struct.pack("<HHIH", 262, 3, 1, 0)), 255 - rgb(GRAY))


def without_segment(content: bytes, marker: bytes) -> bytes:
    """Return a JPEG without its first segment of a kind."""
    start = content.index(marker)
    return content[:start] + content[start + 2 + int.from_bytes(content[start + 2 : start + 4], "big") :]


def with_segment(content: bytes, marker: bytes, segment: bytes) -> bytes:
    """Return a JPEG that begins with another segment."""
    return content[:2] + marker + struct.pack(">H", len(segment) + 2) + segment + content[2:]


def swapped_profile() -> bytes:
    """Return a color profile with the primaries of sRGB, red and blue exchanged, and gamma 2.2."""

    def fixed(*values: float) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    text = b"swapped\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78),
        b"cprt": b"text\0\0\0\0" + text,
        b"wtpt": fixed(0.9642, 1.0, 0.8249),
        b"bXYZ": fixed(0.4361, 0.2225, 0.0139),
        b"gXYZ": fixed(0.3851, 0.7169, 0.0971),
        b"rXYZ": fixed(0.1431, 0.0606, 0.7139),
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), b"curv\0\0\0\0\0\0\0\1" + struct.pack(">H", 563) + b"\0\0"),
    }
    position = 128 + 4 + 12 * len(tags)
    table, body = b"", b""
    for name, tag in tags.items():
        table += name + struct.pack(">II", position + len(body), len(tag))
        body += tag + bytes(-len(tag) % 4)
    size = position + len(body)
    header = struct.pack(">I4sI4s4s4s12s4s", size, b"lcms", 0x02400000, b"mntr", b"RGB ", b"XYZ ", bytes(12), b"acsp")
    header += bytes(28) + struct.pack(">iii", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def dng() -> bytes:
    """Return the begin of a raw photograph with a thumbnail, as a TIFF with the tag DNGVersion."""
    return encode("TIFF", tiffinfo={50706: b"\1\4\0\0"})


def nef() -> bytes:
    """Return a TIFF whose first directory is a thumbnail, as in the raw photographs of most cameras."""
    thumbnail = (254, 4, 1, 1), (256, 3, 1, 8), (257, 3, 1, 8), (330, 4, 1, 8)
    entries = b"".join(struct.pack("<HHII", *entry) for entry in thumbnail)
    return b"II*\0" + struct.pack("<IH", 8, len(thumbnail)) + entries + bytes(4)


def named_files() -> Mapping[str, list[bytes]]:
    """Return files of the kinds that are refused by name."""
    archive = encode("JPEG")
    return {
        "JPEG XL": [b"\xff\x0a\xfa\x1f", b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(20)],
        "raw photograph (DNG, NEF, CR2, CR3, ARW, RAF, ORF, RW2 ...)": [
            dng(),
            nef(),
            b"II*\0\x10\0\0\0CR\2\0" + bytes(90),
            b"\0\0\0\x18ftypcrx " + bytes(90),
            b"FUJIFILMCCD-RAW 0201" + bytes(90),
            b"IIRO\x08\0\0\0" + bytes(90),
            b"IIU\0\x18\0\0\0" + bytes(90),
        ],
        "DICOM": [bytes(128) + b"DICM" + bytes(90)],
        "SVG": [b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- x -->\n<svg/>"],
        "PDF": [b"%PDF-1.7\n", b"\n\n%PDF-1.4\n"],
        "ZIP archive": [b"PK\3\4" + archive],
        "gzip archive": [b"\x1f\x8b\x08" + archive],
        "7z archive": [b"7z\xbc\xaf\x27\x1c" + archive],
        "RAR archive": [b"Rar!\x1a\x07\x01\0" + archive],
        "tar archive": [b"a.jpg".ljust(257, b"\0") + b"ustar\x0000" + bytes(90)],
        "video": [
            b"\0\0\0\x20ftypisom" + bytes(90),
            b"\0\0\0\x14ftypqt  " + bytes(90),
            b"\x1a\x45\xdf\xa3" + bytes(90),
        ],
        "Photoshop document": [b"8BPS\0\1" + bytes(90)],
        "portable anymap (PBM, PGM, PPM)": [encode("PPM"), encode("PPM", GRAY), encode("PPM", PICTURE.convert("1"))],
        "Targa": [encode("TGA")],
        "icon": [encode("ICO"), encode("ICNS", PICTURE.resize((64, 64)))],
        "HTML page": [b"<!DOCTYPE html><html><body>403</body></html>", b"\n<html>"],
        "PNG of Apple's own kind (CgBI)": [fixture("png-cgbi.png")],
        "file of zero bytes": [b""],
        "file of zeros only": [bytes(5000)],
        "Git LFS pointer": [b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"],
        "placeholder of iCloud": [b"bplist00\xd3\1\2\3\4\5\x06_\x10\x10NSURLNameKey\x10\x10NSURLFileSizeKey"],
    }


def documented_outcomes() -> dict[str, str]:
    """Return the outcome of each kind of picture, by its row of `docs/images.md`."""
    text = (REPOSITORY / "docs" / "images.md").read_text()
    table = text.partition("| Picture | Outcome |")[2].partition("\n\n")[0]
    return dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", table, re.MULTILINE))


def samples() -> Mapping[str, list[Sample]]:
    """Return files by the row of `docs/images.md` that states their outcome."""
    plain, other = jpeg(), Image.new("RGB", PICTURE.size, "black")
    photograph = np.asarray(PICTURE.resize((2400, 1800)))
    wide = (RIGHT.astype(np.uint16) * 257).reshape(RIGHT.shape)
    turned = with_segment(b"\xff\xd8", b"\xff\xe1", exif(6))[2:]
    lying_6 = jpeg(lying(6))
    late_6 = lying_6.index(b"\xff\xc0")
    xmp = b"http://ns.adobe.com/xap/1.0/\0"
    accepted: dict[str, list[Sample]] = {
        "JPEG": [Sample(plain, RIGHT, LOSSY), Sample(jpeg(progressive=True), RIGHT, LOSSY)],
        "grayscale JPEG": [Sample(jpeg(GRAY), rgb(GRAY), LOSSY)],
        "JPEG with an EXIF orientation from 1 to 8": [
            Sample(jpeg(lying(number), exif=exif(number)), RIGHT, LOSSY) for number in _STORED
        ],
        "JPEG with an EXIF orientation behind other data": [
            Sample(lying_6[:late_6] + turned + lying_6[late_6:], RIGHT, LOSSY),
            Sample(lying_6[:20] + b"\0\0" + turned + lying_6[20:], RIGHT, LOSSY),
        ],
        "JPEG with broken EXIF or XMP": [
            Sample(with_segment(plain, b"\xff\xe1", broken), RIGHT, LOSSY)
            for broken in (
                b"Exif\0\0II*\0\xff\xff\xff\xff",
                b"Exif\0\0" + bytes(3),
                b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12\0\3\0\0\0\1\0\x09",
                xmp + b"<x:xmpmeta <<< \xff\xfe tiff:Orientation='6'",
            )
        ],
        "CMYK JPEG, with and without Adobe's marker": [
            Sample(jpeg(PICTURE.convert("CMYK")), RIGHT, LOSSY),
            Sample(without_segment(jpeg(PICTURE.convert("CMYK")), b"\xff\xee"), RIGHT, LOSSY),
            Sample(jpeg(lying(6).convert("CMYK"), exif=exif(6)), RIGHT, LOSSY),
        ],
        "PNG": [
            Sample(encode("PNG"), RIGHT),
            Sample(encode("PNG", GRAY), rgb(GRAY)),
            Sample(encode("PNG", INDEXED), rgb(INDEXED)),
            Sample(encode("PNG", PICTURE.convert("1")), rgb(PICTURE.convert("1"))),
        ],
        "16-bit PNG": [Sample(encode("PNG", sixteen_bits()), rgb(GRAY)), Sample(png_of(wide, 16, 2), RIGHT)],
        "PNG with an opaque alpha channel": [Sample(encode("PNG", PICTURE.convert("RGBA")), RIGHT)],
        "PNG with transparency": [
            Sample(encode("PNG", with_alpha()), on_white()),
            Sample(encode("PNG", with_alpha(GRAY).convert("LA")), on_white(rgb(GRAY))),
            Sample(encode("PNG", INDEXED, transparency=clear_index()), clear_gif().pixels),
            *clear_pngs(),
        ],
        "animated PNG": [Sample(encode("PNG", save_all=True, append_images=[other]), RIGHT)],
        "PNG or WebP with an EXIF orientation": [
            Sample(encode(form, lying(number), exif=exif(number), **options), RIGHT)
            for number in _STORED
            for form, options in (("PNG", {}), ("WEBP", {"lossless": True}))
            if number != 1
        ],
        "GIF": [Sample(encode("GIF", INDEXED), rgb(INDEXED))],
        "GIF with transparency or a frame smaller than its canvas": [clear_gif(), placed_gif()],
        "animated GIF": [
            Sample(encode("GIF", INDEXED, save_all=True, append_images=[Image.new("P", PICTURE.size)]), rgb(INDEXED))
        ],
        "BMP of 24 bits": [Sample(encode("BMP"), RIGHT)],
        "BMP with a palette, of OS/2, of 16 or 32 bits": [
            Sample(fixture("bmp-8pal.bmp"), RIGHT, 10),
            Sample(fixture("bmp-os2.bmp"), RIGHT),
            Sample(
                b"BM" + struct.pack("<IHHIIHHHH", 30, 0, 0, 26, 12, 1, 1, 1, 24) + b"\x14\xc8\x28\0",
                np.asarray([[[40, 200, 20]]], np.uint8),
            ),
            *indexed_bmps(),
            *direct_bmps(),
        ],
        "WebP": [
            Sample(encode("WEBP", lossless=True), RIGHT),
            Sample(encode("WEBP", quality=98), RIGHT, LOSSY),
            Sample(encode("WEBP", lossless=True, exif=exif(1)), RIGHT),
        ],
        "WebP with transparency": [
            Sample(encode("WEBP", with_alpha(), lossless=True, exact=True), on_white()),
            Sample(encode("WEBP", with_alpha(), quality=98), on_white(), LOSSY),
            Sample(fixture("webp-alpha-lossy.webp"), left_on_white(), LOSSY),
        ],
        "animated WebP": [Sample(encode("WEBP", save_all=True, append_images=[other], lossless=True), RIGHT)],
        "HEIC": [
            *(Sample(fixture(f"{name}.heic"), RIGHT, LOSSY) for name in ("plain", "ten-bits", "second-of-two")),
            *(Sample(fixture(f"turned-{number}.heic"), RIGHT, LOSSY) for number in _STORED if number != 1),
            Sample(fixture("transparent.heic"), on_white(), LOSSY),
        ],
        "AVIF": [
            Sample(encode("AVIF", quality=95), RIGHT, LOSSY),
            Sample(encode("AVIF", with_alpha(), quality=95), on_white(), LOSSY),
            Sample(encode("AVIF", quality=95, save_all=True, append_images=[other]), RIGHT, LOSSY),
            *(Sample(encode("AVIF", lying(number), quality=95, exif=exif(number)), RIGHT, LOSSY) for number in _STORED),
            Sample(encode("AVIF", lying(6).convert("RGBA"), quality=95, exif=exif(6)), RIGHT, LOSSY),
        ],
        "JPEG 2000": [
            Sample(encode("JPEG2000"), RIGHT),
            Sample(encode("JPEG2000", no_jp2=True), RIGHT),
            Sample(encode("JPEG2000", with_alpha()), on_white()),
            Sample(encode("JPEG2000", sixteen_bits()), rgb(GRAY)),
        ],
        "TIFF": [
            *(Sample(encode("TIFF", compression=each), RIGHT) for each in ("raw", "tiff_lzw", "packbits", "zstd")),
            Sample(encode("TIFF", save_all=True, append_images=[other]), RIGHT),
            Sample(encode("TIFF", GRAY), rgb(GRAY)),
            Sample(encode("TIFF", INDEXED), rgb(INDEXED)),
            Sample(encode("TIFF", PICTURE.convert("1"), compression="group4"), rgb(PICTURE.convert("1"))),
            Sample(encode("TIFF", PICTURE.convert("CMYK")), RIGHT),
            Sample(encode("TIFF", with_alpha()), on_white()),
            Sample(encode("TIFF", lying(6).convert("RGBA"), exif=exif(6)), RIGHT),
            # A side longer than a JPEG's can be.
            Sample(encode("TIFF", Image.new("L", (70_000, 60), 90)), np.full((60, 70_000, 3), 90, np.uint8)),
            *(Sample(encode("TIFF", lying(number), exif=exif(number)), RIGHT) for number in _STORED),
        ],
        "16-bit TIFF": [Sample(encode("TIFF", sixteen_bits()), rgb(GRAY)), inverse_tiff()],
        "converted picture with a color profile": [
            Sample(encode("TIFF", icc_profile=swapped_profile()), np.ascontiguousarray(RIGHT[..., ::-1]), LOSSY),
            Sample(
                encode("AVIF", lying(6), quality=95, exif=exif(6), icc_profile=swapped_profile()),
                np.ascontiguousarray(RIGHT[..., ::-1]),
                LOSSY,
            ),
            Sample(encode("TIFF", icc_profile=b"broken"), RIGHT),
        ],
        "converted picture with broken EXIF or XMP": [
            Sample(encode("TIFF", tiffinfo={34665: 2**31, 700: b"<x:xmpmeta <<< \xff"}), RIGHT),
            Sample(broken_exif_png(), on_white()),
            Sample(encode("WEBP", with_alpha(), lossless=True, exact=True, exif=b"Exif\0\0II*\0\xff"), on_white()),
            Sample(broken_exif_avif(), RIGHT, LOSSY),
            Sample(encode("AVIF", quality=95, xmp=b"<x:xmpmeta <<< \xff"), RIGHT, LOSSY),
        ],
        "converted picture of more than 4 megapixels": [
            Sample(encode("TIFF", PICTURE.resize((2400, 1800))), photograph, LOSSY)
        ],
    }
    refused = {
        "16-bit file with 12-bit values": [
            encode("PNG", sixteen_bits(16)),
            png_of(RIGHT.astype(np.uint16) * 16, 16, 2),
            png_of(np.dstack([RIGHT.astype(np.uint16) * 16, np.full(RIGHT.shape[:2], 65535)]), 16, 6),
            encode("TIFF", sixteen_bits(16)),
        ],
        "12-bit JPEG": [plain.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc1\0\x11\x0c")],
        "32-bit TIFF": [
            encode("TIFF", Image.fromarray(np.asarray(GRAY).astype(np.float32))),
            encode("TIFF", Image.fromarray(np.asarray(GRAY).astype(np.int32))),
        ],
        "file that only begins like an image": [
            b"\xff\xd8\xff",
            b"\xff\xd8\xff\xe0 once upon a time",
            b"\x89PNG\r\n\x1a\n once",
            b"GIF89a",
            b"RIFF\0\0\0\0WEBPonce upon",
            b"II*\0 once upon a time",
            b"\0\0\0\x18ftypheic" + bytes(90),
            b"\0\0\0\x18ftypavif" + bytes(90),
            b"\xff\x4f\xff\x51 once upon a time",
            b"BM" + bytes(12) + struct.pack("<I", 40) + bytes(90),
        ],
        "text": [b"once upon a time", b"BMW, VW and others"],
        "truncated file": [
            content[: len(content) * 2 // 3]
            for content in (
                *(plain, encode("PNG"), encode("PNG", with_alpha()), encode("BMP"), encode("GIF", INDEXED)),
                *(encode("WEBP", lossless=True), encode("TIFF"), encode("JPEG2000"), encode("JPEG2000", no_jp2=True)),
                *(encode("AVIF"), fixture("plain.heic"), jpeg(PICTURE.convert("CMYK"))),
            )
        ],
        "GIF of large or many frames in a small file": [
            fixture("canvas-100-frame-20000.gif"),
            gif_of_frames(1500, 300),
        ],
        "20,000 x 20,000 pixels in a small file": [
            png(20_000, 20_000, 1, 0, bytes(2501 * 20_000)),
            encode("TIFF", Image.new("1", (20_000, 20_000)), compression="group4"),
            encode("WEBP", Image.new("RGB", (16_000, 16_000)), lossless=True, method=0),
        ],
    }
    return accepted | {
        row: [Sample(content) for content in contents] for row, contents in {**refused, **named_files()}.items()
    }

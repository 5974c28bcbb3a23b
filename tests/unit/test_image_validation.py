"""Validation of image files, and the digest of a folder."""

import io
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from components.preprocessing.digest import folder_digest
from components.preprocessing.header import decoded_pixels, header_error, image_size
from components.preprocessing.validation import validation_error

PHOTOGRAPH = Image.fromarray(load_sample_images().images[0])
PIXELS = 640 * 427


def encode(form: str, mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    PHOTOGRAPH.convert(mode).save(buffer, form, **options)
    return buffer.getvalue()


GOOD = {
    "JPEG": encode("JPEG"),
    "progressive JPEG": encode("JPEG", progressive=True),
    "JPEG with EXIF": encode("JPEG", exif=Image.Exif()),
    "gray JPEG": encode("JPEG", "L"),
    "CMYK JPEG": encode("JPEG", "CMYK"),
    "PNG": encode("PNG"),
    "PNG with transparency": encode("PNG", "RGBA"),
    "PNG with a palette": encode("PNG", "P"),
    "GIF": encode("GIF"),
    "BMP": encode("BMP"),
    "WebP": encode("WEBP"),
    "lossless WebP": encode("WEBP", lossless=True),
    "WebP with EXIF": encode("WEBP", exif=b"Exif\0\0"),
}


@pytest.mark.parametrize("form", GOOD)
def test_decodable_image_is_valid(form: str) -> None:
    assert validation_error(GOOD[form], PIXELS) is None


@pytest.mark.parametrize("form", GOOD)
def test_image_over_the_pixel_limit_is_rejected(form: str) -> None:
    assert image_size(GOOD[form]) == (640, 427)
    assert validation_error(GOOD[form], PIXELS - 1) == f"more than {PIXELS - 1} pixels"


def test_pixel_bomb_is_rejected_by_its_header() -> None:
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(header)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    assert validation_error(bomb, 100_000_000) == "more than 100000000 pixels"


def gif(canvas: tuple[int, int], frame: tuple[int, int], count: int) -> bytes:
    """Return a GIF of equal frames on a canvas of any size."""
    buffer = io.BytesIO()
    Image.new("P", frame).save(buffer, "GIF", comment="as cameras write")
    content = buffer.getvalue()
    start = content.index(b"!\xfe")
    return content[:6] + struct.pack("<HH", *canvas) + content[10:start] + content[start:-1] * count + b";"


@pytest.mark.parametrize(
    ("canvas", "frame", "count"),
    [((10, 10), (101, 99), 1), ((10, 10), (50, 50), 4), ((100, 100), (50, 1), 1)],
    ids=["frame larger than the canvas", "many frames", "canvas larger than the frame"],
)
def test_pixels_of_a_gif_are_those_of_its_canvas_or_of_all_frames(
    canvas: tuple[int, int], frame: tuple[int, int], count: int
) -> None:
    content = gif(canvas, frame, count)

    assert image_size(content) == canvas
    assert decoded_pixels(content) == max(canvas[0] * canvas[1], frame[0] * frame[1] * count)
    assert decoded_pixels(content[:-30]) is not None
    assert header_error(content, 9998) == "more than 9998 pixels"


def test_size_is_read_from_an_os2_bitmap_and_from_apples_png() -> None:
    bitmap = b"BM" + struct.pack("<IHHI", 0, 0, 0, 26) + struct.pack("<IHHHH", 12, 127, 64, 1, 24)
    apple = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 4, b"CgBI", 0, 0) + struct.pack(">I4sII", 13, b"IHDR", 48, 32)

    assert image_size(bitmap) == (127, 64)
    assert image_size(apple) == (48, 32)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "placeholder: empty file"),
        (b"a text\n", "not an image"),
        (b"\xff\xd8\xff", "can't be decoded: the header of the JPEG file is incomplete"),
        (b"%PDF-1.7", "PDF. Convert it to JPEG or PNG"),
        (GOOD["JPEG"][:5000], "can't be decoded: jpeg::Uncompress failed. Invalid JPEG data or crop window"),
        (GOOD["PNG"][:5000], "can't be decoded: Invalid PNG data, size 5000"),
    ],
)
def test_invalid_file_gets_a_short_reason(content: bytes, reason: str) -> None:
    assert validation_error(content, PIXELS) == reason


def test_bytes_between_two_segments_do_not_hide_the_size() -> None:
    jpeg = GOOD["JPEG"]
    assert image_size(jpeg[:20] + b"\0\0" + jpeg[20:]) == (640, 427)


def test_digest_depends_on_contents_and_names_and_not_on_the_folder(tmp_path: Path) -> None:
    def folder(name: str, files: dict[str, str]) -> str:
        for file, text in files.items():
            (tmp_path / name / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / file).write_text(text)
        return folder_digest(tmp_path / name)

    original = folder("one", {"a": "x", "b/c": "y"})
    assert folder("two", {"b/c": "y", "a": "x"}) == original
    assert folder("three", {"a": "x", "b/c": "z"}) != original
    assert folder("four", {"a": "x", "b/d": "y"}) != original
    assert folder("five", {"a": "xb/c", "y": ""}) != original
    assert folder("six", {"a": "x", "b/c": "y", "d": ""}) != original


def test_digest_of_a_missing_folder_raises_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        folder_digest(tmp_path / "none")

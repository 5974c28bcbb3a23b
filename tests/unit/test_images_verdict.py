"""The verdict on files, and the digest of a folder."""

import io
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from components.images.digest import folder_digest
from components.images.header import image_size
from components.images.verdict import verdict

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
    "grey JPEG": encode("JPEG", "L"),
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
def test_an_image_that_tensorflow_decodes_is_good(form: str) -> None:
    assert verdict(GOOD[form], PIXELS) is None


@pytest.mark.parametrize("form", GOOD)
def test_an_image_over_the_pixel_limit_is_refused(form: str) -> None:
    assert image_size(GOOD[form]) == (640, 427)
    assert verdict(GOOD[form], PIXELS - 1) == f"more than {PIXELS - 1} pixels"


def test_a_pixel_bomb_is_refused_by_its_header() -> None:
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(header)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    assert verdict(bomb, 100_000_000) == "more than 100000000 pixels"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"a text\n", "not an image"),
        (b"\xff\xd8\xff", "not an image"),
        (b"%PDF-1.7", "not an image"),
        (GOOD["JPEG"][:5000], "can't be decoded: jpeg::Uncompress failed. Invalid JPEG data or crop window"),
        (GOOD["PNG"][:5000], "can't be decoded: Invalid PNG data, size 5000"),
    ],
)
def test_a_bad_file_gets_a_short_reason(content: bytes, reason: str) -> None:
    assert verdict(content, PIXELS) == reason


def test_bytes_between_two_segments_do_not_hide_the_size() -> None:
    jpeg = GOOD["JPEG"]
    assert image_size(jpeg[:20] + b"\0\0" + jpeg[20:]) == (640, 427)


def test_the_digest_tells_contents_and_names_apart_but_not_the_place(tmp_path: Path) -> None:
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


def test_the_digest_of_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        folder_digest(tmp_path / "none")

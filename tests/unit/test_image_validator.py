"""Files that take more memory or time than they show get a reason, and the next file is validated."""

import io
from collections.abc import Iterator

import pytest
from PIL import Image

from components.preprocessing.image_validator import ImageValidator
from tests.support.hostile_images import gif_of_frames, jpeg_of_many_scans

MEBIBYTE = 2**20


def encode(form: str, size: tuple[int, int], mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, 90).save(buffer, form, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def validator() -> Iterator[ImageValidator]:
    # A new interpreter: other tests of this process have used TensorFlow.
    validator = ImageValidator(100_000_000, memory_bytes=96 * MEBIBYTE, fork=False)
    yield validator
    validator.close()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "placeholder: empty file"),
        (b"a text", "not an image"),
        (encode("PNG", (20_000, 20_000), "1"), "more than 100000000 pixels"),
        (gif_of_frames(1500, 300), "more than 100000000 pixels"),
        (encode("JPEG", (40, 30))[:200], "can't be decoded: jpeg::Uncompress failed"),
        (encode("PNG", (9000, 9000)), "decoding took too much memory"),
    ],
    ids=["empty", "text", "pixels", "frames", "damaged", "memory"],
)
def test_file_gets_its_reason_and_the_next_is_validated(validator: ImageValidator, content: bytes, reason: str) -> None:
    found, picture = validator.picture(content)

    assert found is not None
    assert found.startswith(reason)
    assert picture is None
    assert validator.picture(good := encode("JPEG", (4000, 3000))) == (None, good)


def test_file_that_takes_too_long_is_refused_and_the_next_is_validated() -> None:
    validator = ImageValidator(100_000_000, memory_bytes=96 * MEBIBYTE, seconds=3, fork=False)

    assert validator.picture(jpeg_of_many_scans(3000)) == ("decoding took more than 3 s", None)
    assert validator.picture(good := encode("JPEG", (40, 30))) == (None, good)
    validator.close()

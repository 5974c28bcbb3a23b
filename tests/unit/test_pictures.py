"""What becomes of each kind of picture: the table of pictures in docs/images.md, line by line."""

import io
from collections.abc import Iterator

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.preprocessing.image_validator import ImageValidator
from components.preprocessing.preprocess import decode
from tests.support.sample_pictures import (
    PICTURE,
    RIGHT,
    Pixels,
    Sample,
    documented_outcomes,
    encode,
    exif,
    samples,
)

ROWS = samples()
MAXIMUM_PIXELS = 100_000_000
# Lossy coding changes single pixels at edges more than the mean.
EDGE = 128


@pytest.fixture(scope="module")
def validator() -> Iterator[ImageValidator]:
    # A new interpreter: other tests of this process have used TensorFlow.
    validator = ImageValidator(MAXIMUM_PIXELS, memory_bytes=1200 * 2**20, fork=False)
    yield validator
    validator.close()


def decoded(content: bytes) -> Pixels:
    pixels: Pixels = decode(tf.constant(content)).numpy()
    return pixels


def test_each_picture_of_the_documentation_has_samples() -> None:
    assert ROWS.keys() == documented_outcomes().keys()


@pytest.mark.parametrize("row", ROWS)
def test_picture_ends_as_documented_with_the_right_pixels(validator: ImageValidator, row: str) -> None:
    promised = documented_outcomes()[row]
    for number, sample in enumerate(ROWS[row]):
        reason, picture = validator.picture(sample.content)
        if promised.startswith("quarantine: "):
            assert picture is None, number
            assert reason is not None
            assert reason.startswith(promised.removeprefix("quarantine: ")), (number, reason)
        else:
            assert reason is None, (number, reason)
            assert picture is not None
            assert (picture != sample.content) == promised.startswith("converted"), number
            check_pixels(sample, picture, number)


def check_pixels(sample: Sample, picture: bytes, number: int) -> None:
    assert sample.pixels is not None
    found = decoded(picture)
    assert found.shape == sample.pixels.shape, number
    difference = np.abs(found.astype(int) - sample.pixels.astype(int))
    assert difference.mean() <= sample.tolerance, (number, difference.mean())
    assert difference.max() <= (EDGE if sample.tolerance else 0), number


def test_converted_picture_has_no_metadata_and_is_png_or_large_jpeg(validator: ImageValidator) -> None:
    for size, form in ((PICTURE.size, "PNG"), ((2400, 1800), "JPEG")):
        _, picture = validator.picture(encode("TIFF", PICTURE.resize(size), exif=exif(1), description="secret place"))
        assert picture is not None
        with Image.open(io.BytesIO(picture)) as image:
            assert (image.format, image.mode, image.size) == (form, "RGB", size)
            assert not image.getexif()
        assert b"secret" not in picture


def test_converted_picture_over_the_pixel_limit_is_refused_by_its_header() -> None:
    limit = RIGHT.shape[0] * RIGHT.shape[1] - 1
    validator = ImageValidator(limit, memory_bytes=256 * 2**20, fork=False)

    for form, pixels in (("TIFF", limit), ("AVIF", limit), ("JPEG2000", limit // 2)):
        assert validator.picture(encode(form)) == (f"more than {pixels} pixels", None)
    validator.close()

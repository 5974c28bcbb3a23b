"""The perceptual hash of pictures: near for near-duplicates, and none for flat pictures."""

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from components.preprocessing.perceptual_hash import perceptual_hash
from components.training_set.near_duplicates import MAXIMUM_DISTANCE
from tests.support.sample_pictures import encode, exif, jpeg, lying

_HEIGHT, _WIDTH = 200, 300
PHOTOGRAPH = Image.fromarray(load_sample_images().images[0])
GRAY = PHOTOGRAPH.convert("L")
SIXTEEN_BITS = Image.fromarray(np.asarray(GRAY).astype(np.uint16) * 257)


def hash_of(content: bytes) -> int:
    found = perceptual_hash(content)
    assert found is not None
    return found


def distance(first: bytes, second: bytes) -> int:
    return ((hash_of(first) ^ hash_of(second)) & (2**64 - 1)).bit_count()


def png(levels: npt.NDArray[np.float64]) -> bytes:
    return encode("PNG", Image.fromarray(levels.clip(0, 255).astype(np.uint8)))


@pytest.mark.parametrize("quality", [50, 75, 95])
def test_re_encoded_picture_is_near(quality: int) -> None:
    assert distance(jpeg(PHOTOGRAPH), encode("JPEG", PHOTOGRAPH, quality=quality)) <= MAXIMUM_DISTANCE


@pytest.mark.parametrize("percent", [50, 75, 150])
def test_resized_picture_is_near(percent: int) -> None:
    size = PHOTOGRAPH.width * percent // 100, PHOTOGRAPH.height * percent // 100

    assert distance(jpeg(PHOTOGRAPH), jpeg(PHOTOGRAPH.resize(size))) <= MAXIMUM_DISTANCE


@pytest.mark.parametrize("orientation", range(1, 9))
def test_hash_is_of_the_upright_picture(orientation: int) -> None:
    assert distance(jpeg(), jpeg(lying(orientation), exif=exif(orientation))) <= MAXIMUM_DISTANCE


@pytest.mark.parametrize(
    "content",
    [
        encode("PNG", PHOTOGRAPH),
        encode("BMP", PHOTOGRAPH),
        encode("WEBP", PHOTOGRAPH),
        encode("GIF", PHOTOGRAPH.quantize(128)),
        encode("PNG", GRAY),
        encode("PNG", SIXTEEN_BITS),
        jpeg(GRAY),
        jpeg(PHOTOGRAPH, progressive=True),
    ],
    ids=["PNG", "BMP", "WebP", "GIF", "gray PNG", "PNG of 16 bits", "gray JPEG", "progressive JPEG"],
)
def test_hash_does_not_depend_on_the_format(content: bytes) -> None:
    assert distance(jpeg(PHOTOGRAPH), content) <= MAXIMUM_DISTANCE


def test_another_picture_is_far() -> None:
    half, height = PHOTOGRAPH.width // 2, PHOTOGRAPH.height
    left, right = (PHOTOGRAPH.crop((x, 0, x + half, height)) for x in (0, half))

    assert distance(jpeg(left), jpeg(right)) > 5 * MAXIMUM_DISTANCE


@pytest.mark.parametrize(
    "levels",
    [
        np.full((_HEIGHT, _WIDTH), 255.0),
        np.tile(np.linspace(0, 255, _WIDTH), (_HEIGHT, 1)),
        np.add.outer(np.linspace(0, 120, _HEIGHT), np.linspace(0, 120, _WIDTH)),
        128 + np.random.default_rng(0).normal(0, 3, (_HEIGHT, _WIDTH)),
    ],
    ids=["one color", "gradient", "diagonal gradient", "noise"],
)
def test_flat_picture_has_no_hash(levels: npt.NDArray[np.float64]) -> None:
    assert perceptual_hash(png(levels)) is None


def test_picture_of_low_contrast_has_a_hash() -> None:
    faint = PHOTOGRAPH.point(lambda level: 100 + level // 16)

    assert distance(jpeg(PHOTOGRAPH), encode("PNG", faint)) <= 4 * MAXIMUM_DISTANCE


@pytest.mark.parametrize("content", [b"", b"content", jpeg()[:200]], ids=["empty", "no picture", "truncated"])
def test_file_that_is_not_decoded_has_no_hash(content: bytes) -> None:
    assert perceptual_hash(content) is None

"""Images to measure with: crops of scikit-learn's two photographs, and its digits.

No two files are equal.
"""

import io
import struct
from collections.abc import Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

# Few, because encoding is slow. Files of the same picture have different comments.
_PICTURES = 32
_JPEG_QUALITY = 90


def photographs(count: int, width: int, height: int, first: int = 0) -> list[bytes]:
    """Return crops of photographs as JPEG files with distinct content.

    Args:
        count: Number of files.
        width: Width of the pictures in pixels.
        height: Height of the pictures in pixels.
        first: Number of the first file. A file's number determines its content.
    """
    pictures = _photographs(width, height)
    return [_add_comment(pictures[number % len(pictures)], number) for number in range(first, first + count)]


def digits(count: int, first: int = 0) -> list[bytes]:
    """Return handwritten digits as JPEG files of 32 x 32 pixels with distinct content.

    Args:
        count: Number of files.
        first: Number of the first file. A file's number determines its content.
    """
    pictures = _digits()
    return [_add_comment(pictures[number % len(pictures)], number) for number in range(first, first + count)]


def write_images(folder: Path, images: Sequence[bytes], first: int = 0) -> None:
    """Write image files into a folder, and create the folder if necessary.

    Args:
        folder: The folder.
        images: Content of the files.
        first: Number of the first file. A file's number is its name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(images, start=first):
        (folder / f"{number:06}.jpg").write_bytes(content)


def _add_comment(jpeg: bytes, number: int) -> bytes:
    """Insert a comment with a number after a JPEG file's first marker."""
    text = f"{number:08}".encode()
    return jpeg[:2] + b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text + jpeg[2:]


@cache
def _photographs(width: int, height: int) -> list[bytes]:
    from PIL import Image
    from sklearn.datasets import load_sample_images

    random = np.random.default_rng(0)
    originals = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    pictures = []
    for number in range(_PICTURES):
        image = originals[number % len(originals)]
        # A crop, enlarged if it is too small. It keeps most of the grain, which takes time to decode.
        scale = random.uniform(0.6, 1) * min(image.width / width, image.height / height)
        crop_width, crop_height = scale * width, scale * height
        left, top = random.uniform(0, image.width - crop_width), random.uniform(0, image.height - crop_height)
        box = left, top, left + crop_width, top + crop_height
        pictures.append(_jpeg(image.resize((width, height), Image.Resampling.BICUBIC, box)))
    return pictures


@cache
def _digits() -> list[bytes]:
    from PIL import Image
    from sklearn.datasets import load_digits

    return [
        _jpeg(Image.fromarray((255 - ink * (255 / 16)).astype("uint8")).resize((32, 32)))
        for ink in islice(load_digits().images, 10 * _PICTURES)
    ]


def _jpeg(image: "Image") -> bytes:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue()

"""Images to measure with: parts of scikit-learn's two photographs, and its handwritten digits, no two alike."""

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

# Encoding is slow, and a comment makes another file of the same picture.
_PICTURES = 32
_JPEG_QUALITY = 90


def photographs(count: int, width: int, height: int, first: int = 0) -> list[bytes]:
    """Return JPEG files, each of another content.

    Args:
        count: How many.
        width: Their width in pixels.
        height: Their height in pixels.
        first: Number of the first one: other numbers are other files.
    """
    pictures = _photographs(width, height)
    return [_commented(pictures[number % len(pictures)], number) for number in range(first, first + count)]


def digits(count: int, first: int = 0) -> list[bytes]:
    """Return handwritten digits as JPEG files of 32 x 32 pixels, each of another content; see `photographs`."""
    pictures = _digits()
    return [_commented(pictures[number % len(pictures)], number) for number in range(first, first + count)]


def write(folder: Path, images: Sequence[bytes], first: int = 0) -> None:
    """Write image files into a folder, made if there is none, named by number."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(images, start=first):
        (folder / f"{number:06}.jpg").write_bytes(content)


def _commented(jpeg: bytes, number: int) -> bytes:
    """Return a JPEG file with a number in a comment behind its first marker."""
    text = f"{number:08}".encode()
    return jpeg[:2] + b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text + jpeg[2:]


@cache
def _photographs(width: int, height: int) -> list[bytes]:
    from PIL import Image
    from sklearn.datasets import load_sample_images

    random = np.random.default_rng(0)
    whole = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    pictures = []
    for number in range(_PICTURES):
        image = whole[number % len(whole)]
        # Part of it in the asked for proportions, enlarged if there is not enough: grain has to be decoded too.
        share = random.uniform(0.6, 1) * min(image.width / width, image.height / height)
        part_width, part_height = share * width, share * height
        left, top = random.uniform(0, image.width - part_width), random.uniform(0, image.height - part_height)
        box = left, top, left + part_width, top + part_height
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

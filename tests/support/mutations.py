"""Mutated pictures: each is a small picture with a few changed, missing, repeated or foreign bytes."""

import random
import struct
from collections.abc import Iterator, Mapping

from PIL import Image

from tests.support.sample_pictures import INDEXED, PICTURE, encode, exif, fixture, jpeg, lying, with_alpha

_SIZE = (24, 16)
_LARGEST_CHANGE = 40
_INTERESTING = (0, 1, 0x7F, 0x80, 0xFF)


def originals() -> Mapping[str, list[bytes]]:
    """Return small pictures by format, in several variants."""
    small = PICTURE.resize(_SIZE)
    indexed = INDEXED.resize(_SIZE)
    other = Image.new("RGB", _SIZE, "navy")
    return {
        "jpeg": [jpeg(small), jpeg(small, progressive=True), jpeg(lying(6).resize(_SIZE), exif=exif(6))],
        "cmyk jpeg": [jpeg(small.convert("CMYK"))],
        "png": [encode("PNG", small), encode("PNG", indexed, transparency=3), encode("PNG", with_alpha(small))],
        "gif": [encode("GIF", indexed), encode("GIF", indexed, save_all=True, append_images=[other.convert("P")])],
        "bmp": [encode("BMP", small), encode("BMP", indexed), fixture("bmp-os2.bmp")],
        "webp": [
            encode("WEBP", small),
            encode("WEBP", with_alpha(small), lossless=True),
            encode("WEBP", small, save_all=True, append_images=[other]),
        ],
        "heic": [fixture("plain.heic"), fixture("turned-6.heic")],
        "avif": [encode("AVIF", small), encode("AVIF", lying(6).resize(_SIZE), exif=exif(6))],
        "tiff": [encode("TIFF", small), encode("TIFF", small, compression="tiff_lzw"), encode("TIFF", indexed)],
        "jpeg 2000": [encode("JPEG2000", small), encode("JPEG2000", small, no_jp2=True)],
    }


def mutated(form: str, count: int, seed: int) -> Iterator[bytes]:
    """Yield mutated pictures of a format.

    Args:
        form: A key of `originals`.
        count: Number of pictures.
        seed: Seed of the mutations. Equal seeds yield equal pictures.
    """
    generator = random.Random(f"{form} {seed}")
    sources = originals()[form]
    for number in range(count):
        content = bytearray(sources[number % len(sources)])
        for _ in range(generator.choice((1, 1, 2, 4, 8))):
            _mutate(content, generator)
        yield bytes(content)


def _mutate(content: bytearray, generator: random.Random) -> None:
    # Headers decide more than pixels.
    end = len(content) if generator.random() < 0.5 else min(len(content), 200)
    if end < 8:
        return
    position = generator.randrange(end)
    match generator.randrange(7):
        case 0:
            content[position] = generator.randrange(256)
        case 1:
            content[position] ^= 1 << generator.randrange(8)
        case 2:
            content[position] = generator.choice(_INTERESTING)
        case 3:
            # Sizes, offsets and counts.
            number = struct.pack(
                generator.choice("<>") + "I", generator.choice((0, 1, 255, 65535, 2**31 - 1, 2**32 - 1))
            )
            content[position : position + 4] = number
        case 4:
            del content[position : position + generator.randrange(1, _LARGEST_CHANGE)]
        case 5:
            start = generator.randrange(len(content))
            content[position:position] = content[start : start + generator.randrange(1, _LARGEST_CHANGE)]
        case 6:
            if generator.random() < 0.2:
                del content[position:]

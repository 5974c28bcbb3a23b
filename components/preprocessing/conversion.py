"""Conversion of pictures that TensorFlow does not decode rightly, by Pillow and pi-heif.

The result is upright, opaque, in sRGB, and has 8 bits a channel: a PNG, or a JPEG of high quality for large pictures.
All metadata is left out. Run it in a child process: it decodes files of any origin.
"""

import io
import re
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pi_heif
from PIL import AvifImagePlugin, ExifTags, Image, ImageCms, ImageFile

from components.preprocessing.header import image_format, jpeg_frame, too_many_pixels
from components.preprocessing.kept import exif_orientation, is_16_bit_png, png_chunks
from components.preprocessing.turn import turn

# Larger pictures become JPEG: their PNG would be several times as long as their file.
_LARGEST_PNG_PIXELS = 4_000_000
_JPEG_QUALITY = 95
_LONGEST_JPEG_SIDE = 65_500
_PNG_COMPRESSION = 3
_STRIP_PIXELS = 2**20
_LONGEST_CAUSE = 120
_WHITE = (255, 255, 255)

_PILLOW_FORMATS = {
    "jpeg": "JPEG",
    "png": "PNG",
    "gif": "GIF",
    "bmp": "BMP",
    "webp": "WEBP",
    "heic": "HEIF",
    "avif": "AVIF",
    "tiff": "TIFF",
    "jpeg2000": "JPEG2000",
}
# Pillow checks checksums also of chunks that do not matter. These do.
_PNG_CHUNKS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
# The entries of EXIF, XMP and others in the list of a HEIF or AVIF file's items, which are no pictures. Broken ones
# prevent decoding; pi-heif 1.4.0 crashes if a type is no text. The orientation is a property of the picture.
_HEIF_METADATA = re.compile(
    rb"(\x00\x00..infe(?:\x02.{3}..|\x03.{3}.{4})..)"
    rb"(?!hvc1|hev1|av01|grid|iden|iovl|tmap|jpeg|j2k1|avc1|vvc1|unci).{4}",
    re.DOTALL,
)
_TIFF_PHOTOMETRIC, _TIFF_BITS = 262, 258
_WHITE_IS_ZERO = 0
_MODES_OF_SPACES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}
_TWELVE_BITS = 4096
# Its decoder takes 18 bytes for each pixel, and calls a file broken if memory is short.
_JPEG_2000_FACTOR = 2
_JPEG_2000_START, _JPEG_2000_END = b"\xff\x4f\xff\x51", b"\xff\xd9"

pi_heif.register_heif_opener(thumbnails=False)
pi_heif.options.DECODE_THREADS = 1
AvifImagePlugin.DEFAULT_MAX_THREADS = 1
# `convert` compares the pixels with its own limit.
Image.MAX_IMAGE_PIXELS = None


class ConversionError(Exception):
    """A picture can't be converted. The message is the reason, in a few words."""


def convert(content: bytes, maximum_pixels: int) -> bytes:
    """Return a picture as an upright, opaque PNG or JPEG in sRGB with 8 bits a channel.

    An animation yields its first frame on its canvas, a TIFF of several pages the first one.

    Args:
        content: A file of a known format.
        maximum_pixels: Maximum of width times height; half of it for JPEG 2000.

    Raises:
        ConversionError: The picture can't be decoded, or is too large.
        MemoryError: Memory is short.
    """
    with _decoding_errors(), _open(content) as image:
        _check_size(image, maximum_pixels // _JPEG_2000_FACTOR if image.format == "JPEG2000" else maximum_pixels)
        picture = _flat(content, image)
        _check_size(picture, maximum_pixels)
        return _encode(picture)


def is_opaque(content: bytes) -> bool:
    """Return whether no pixel of a PNG is transparent.

    Args:
        content: A PNG file of valid size.

    Raises:
        ConversionError: The picture can't be decoded, or its 16-bit values would make it black.
        MemoryError: Memory is short.
    """
    with _decoding_errors(), _open(content) as image:
        image.load()
        if is_16_bit_png(content):
            _check_range(image)
        return "A" not in image.getbands() or _extrema(image.getchannel("A"))[0] == 255


@contextmanager
def _decoding_errors() -> Iterator[None]:
    """Turn the many exceptions of decoders into ConversionError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except (ConversionError, MemoryError):
            raise
        except Exception as error:
            cause = " ".join(str(error).split()) or type(error).__name__
            if "memory" in cause.lower():
                raise MemoryError from error
            if "cannot identify image file" in cause:
                cause = "the file is damaged"
            raise ConversionError(f"can't be decoded: {cause[:_LONGEST_CAUSE].rstrip(' .')}") from None


def _open(content: bytes) -> Image.Image:
    form = image_format(content)
    assert form is not None
    if form == "png":
        content = _essential_png(content)
    elif form == "jpeg" and (frame := jpeg_frame(content)) and frame.bits != 8:
        raise ConversionError(f"JPEG of {frame.bits} bits a sample. Convert it to 8 bits")
    elif form == "jpeg2000" and not _is_complete_jpeg_2000(content):
        raise ConversionError("can't be decoded: the file is truncated")
    elif form in ("heic", "avif"):
        content = _HEIF_METADATA.sub(rb"\1none", content)
    return Image.open(io.BytesIO(content), formats=[_PILLOW_FORMATS[form]])


def _essential_png(content: bytes) -> bytes:
    """Return a PNG without metadata, which must not prevent its decoding."""

    def chunks() -> Iterator[bytes]:
        position = 8
        for name, chunk in png_chunks(content):
            whole = content[position : position + 12 + len(chunk)]
            position += len(whole)
            if name in _PNG_CHUNKS or (
                name == b"iCCP" and zlib.crc32(name + chunk) == int.from_bytes(whole[-4:], "big")
            ):
                yield whole
        # The rest of a damaged file, so that the decoder finds it damaged.
        yield content[position:]

    return content[:8] + b"".join(chunks())


def _is_complete_jpeg_2000(content: bytes) -> bool:
    """Return whether the last marker is there. The decoder fills the missing part of a picture with gray."""
    if content.startswith(_JPEG_2000_START):
        return content.endswith(_JPEG_2000_END)
    position = 0
    while position + 8 <= len(content):
        length = int.from_bytes(content[position : position + 4], "big")
        if length == 1:
            length = int.from_bytes(content[position + 8 : position + 16], "big")
        end = position + length if length else len(content)
        if content[position + 4 : position + 8] == b"jp2c":
            return content[end - 2 : end] == _JPEG_2000_END
        if end < position + 8:
            return False
        position = end
    return False


def _check_size(image: Image.Image, maximum_pixels: int) -> None:
    if image.width * image.height > maximum_pixels:
        raise ConversionError(too_many_pixels(maximum_pixels))


def _flat(content: bytes, image: Image.Image) -> Image.Image:
    """Decode an image to upright RGB on white."""
    form = image_format(content)
    box = image.tile[0].extents if form == "gif" and isinstance(image, ImageFile.ImageFile) else None
    sixteen_bits = _has_16_bits(content, form, image)
    # Pillow itself turns TIFF, and libheif HEIC. For AVIF, Pillow reports the picture's property as EXIF.
    stated = image.getexif().get(ExifTags.Base.Orientation, 1) if form == "avif" else exif_orientation(content)
    image.load()
    if sixteen_bits:
        _check_range(image)
    to_rgb = _color_conversion(image)
    picture = (
        image if image.mode == "RGB" and to_rgb is None and not _is_transparent(image) else _on_white(image, to_rgb)
    )
    if box is not None and box != (0, 0, *picture.size):
        # What the first frame of an animation does not cover is transparent.
        canvas = Image.new("RGB", picture.size, _WHITE)
        canvas.paste(picture.crop(box), box)
        picture = canvas
    return turn(picture, stated)


def _has_16_bits(content: bytes, form: str | None, image: Image.Image) -> bool:
    if form == "tiff":
        bits = image.tag_v2.get(_TIFF_BITS, (1,))  # type: ignore[attr-defined]
        return 16 in (bits if isinstance(bits, tuple) else (bits,))
    return is_16_bit_png(content)


def _is_transparent(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info


def _on_white(image: Image.Image, to_rgb: Callable[[Image.Image], Image.Image] | None) -> Image.Image:
    """Convert an image strip by strip, so that it is in memory only twice."""
    if image.mode in ("I", "F"):
        raise ConversionError("32-bit values are measurements, not a picture. Convert them to 8 or 16 bits")
    picture = Image.new("RGB", image.size)
    rows = max(1, _STRIP_PIXELS // image.width)
    transparency = image.info.get("transparency")
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        if transparency is not None:
            strip.info["transparency"] = transparency
        picture.paste(_strip_on_white(strip, image, to_rgb), (0, top))
    return picture


def _strip_on_white(
    strip: Image.Image, image: Image.Image, to_rgb: Callable[[Image.Image], Image.Image] | None
) -> Image.Image:
    if strip.mode.startswith("I;16"):
        return _from_16_bits(strip, image)
    if not _is_transparent(strip):
        return to_rgb(strip) if to_rgb else strip.convert("RGB")
    with_alpha = strip.convert("RGBA")
    white = Image.new("RGB", strip.size, _WHITE)
    opaque = with_alpha.convert("RGB")
    white.paste(to_rgb(opaque) if to_rgb else opaque, mask=with_alpha.getchannel("A"))
    return white


def _from_16_bits(strip: Image.Image, image: Image.Image) -> Image.Image:
    values = np.asarray(strip).astype(np.uint16)
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(_TIFF_BITS, (16,))
    shift = (bits[0] if isinstance(bits, tuple) else bits) - 8
    gray = np.clip(values >> max(shift, 0), 0, 255).astype(np.uint8)
    if tags.get(_TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO:
        gray = 255 - gray
    transparency = image.info.get("transparency")
    if isinstance(transparency, int):
        gray = np.where(values == transparency, 255, gray).astype(np.uint8)
    return Image.fromarray(gray).convert("RGB")


def _color_conversion(image: Image.Image) -> Callable[[Image.Image], Image.Image] | None:
    """Return the conversion from the image's color profile to sRGB; None without a usable profile."""
    profile = image.info.get("icc_profile")
    if not profile:
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = _MODES_OF_SPACES[source.profile.xcolor_space]
        is_gray = image.mode in ("L", "LA", "1")
        fits = {"RGB": not is_gray and image.mode != "CMYK", "L": is_gray, "CMYK": image.mode == "CMYK"}[mode]
        if not fits or image.mode.startswith("I;16"):
            return None
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except Exception:
        # A broken profile never rejects a picture.
        return None

    def to_rgb(strip: Image.Image) -> Image.Image:
        converted = ImageCms.applyTransform(strip if strip.mode == mode else strip.convert(mode), transform)
        assert converted is not None
        return converted

    return to_rgb


def _check_range(image: Image.Image) -> None:
    """Raise an error if a picture of 16 bits a channel has values of 12 bits, as some cameras write.

    Raises:
        ConversionError: It has.
    """
    if image.mode.startswith("I;16"):
        highest = _extrema(image)[1] >> 8
    else:
        highest = max(_extrema(image.getchannel(band))[1] for band in image.getbands() if band != "A")
    if 0 < highest < _TWELVE_BITS >> 8:
        raise ConversionError(
            f"16-bit values below {_TWELVE_BITS}: the picture would be black. Multiply its values by 16"
        )


def _extrema(channel: Image.Image) -> tuple[int, int]:
    lowest, highest = channel.getextrema()
    return int(lowest), int(highest)  # type: ignore[arg-type]


def _encode(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    # Not even a comment of the original is written.
    picture.info = {}
    if picture.width * picture.height > _LARGEST_PNG_PIXELS and max(picture.size) <= _LONGEST_JPEG_SIDE:
        picture.save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    else:
        picture.save(buffer, "PNG", compress_level=_PNG_COMPRESSION)
    return buffer.getvalue()

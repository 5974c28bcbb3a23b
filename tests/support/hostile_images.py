"""Small files that take much memory or time to decode."""

import io

from PIL import Image

_GIF_HEADER = 13


def gif_of_frames(count: int, side: int) -> bytes:
    """Return an animation of equal square frames. Decoders hold all frames at once.

    Args:
        count: Number of frames.
        side: Width and height of a frame, in pixels.
    """
    buffer = io.BytesIO()
    Image.new("P", (side, side)).save(buffer, "GIF")
    content = buffer.getvalue()
    # Behind the header, whose numbers may contain the byte.
    start = content.index(b"\x2c", _GIF_HEADER)
    return content[:start] + content[start:-1] * count + b";"


def jpeg_of_many_scans(count: int) -> bytes:
    """Return a progressive JPEG of 16 megapixels that repeats its last scan.

    The decoder passes over the whole image for each scan.

    Args:
        count: Number of repetitions. Each takes about 10 ms.
    """
    buffer = io.BytesIO()
    Image.new("L", (4000, 4000), 90).save(buffer, "JPEG", progressive=True)
    content = buffer.getvalue()
    last = content.rindex(b"\xff\xda")
    return content[:last] + content[last:-2] * count + content[-2:]

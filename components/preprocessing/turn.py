"""Turn Pillow's images upright."""

from PIL import Image

_METHODS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def turn(picture: Image.Image, orientation: int) -> Image.Image:
    """Return a picture turned upright.

    Args:
        picture: The picture as stored.
        orientation: EXIF's orientation, 1 to 8.
    """
    method = _METHODS.get(orientation)
    return picture if method is None else picture.transpose(method)

"""Upper limits of the image files that ingest accepts."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Upper limits of an image file. Ingest quarantines larger files.

    Attributes:
        bytes: Length of the file, in bytes.
        pixels: Width times height, in pixels.
    """

    bytes: int = 64 * 2**20
    pixels: int = 100_000_000

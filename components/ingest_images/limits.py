"""What an image may be at most."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What an image may be at most.

    Attributes:
        bytes: Length of the file.
        pixels: Width times height.
    """

    bytes: int = 64 * 2**20
    pixels: int = 100_000_000

"""Validation of image files in a child process: no file can crash, stop or bloat its caller."""

from collections.abc import Callable
from functools import partial

from components.child_process import ChildDied, ChildProcess
from components.preprocessing.header import header_error

Decode = Callable[[bytes], str | None]

# A GIF of one pixel.
_PROBE = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)


class ImageValidator:
    """Validates image files: by their headers here, by decoding them in a child process."""

    def __init__(self, maximum_pixels: int, memory_bytes: int, seconds: float = 60, fork: bool = True) -> None:
        """Describe the child process; nothing is started yet.

        Args:
            maximum_pixels: Maximum of width times height, for a GIF in all frames together.
            memory_bytes: Memory that the child may use beside TensorFlow's.
            seconds: Time limit of decoding a file, in seconds.
            fork: Whether the child is a fork of this process, which must have done nothing with TensorFlow but import
                it; see `ChildProcess`.
        """
        self._maximum_pixels = maximum_pixels
        self._child = ChildProcess(partial(_start, maximum_pixels), memory_bytes, seconds, fork)

    def start(self) -> None:
        """Start the child. The first validation does this as well, but threads of this process should start later."""
        self._child.start()

    def close(self) -> None:
        """End the child."""
        self._child.close()

    def error(self, content: bytes) -> str | None:
        """Return why a file is not a valid image, in a few words; None for a valid one.

        Args:
            content: The file.
        """
        return header_error(content, self._maximum_pixels) or self._decoding_error(content)

    def _decoding_error(self, content: bytes) -> str | None:
        try:
            return self._child.call(content)
        except ChildDied as death:
            return f"{'decoding' if death.reason.startswith('took') else 'the decoder'} {death.reason}"


def _start(maximum_pixels: int) -> Decode:
    from components.preprocessing.validation import decoded_error

    decoded_error(_PROBE, maximum_pixels)
    return partial(decoded_error, maximum_pixels=maximum_pixels)

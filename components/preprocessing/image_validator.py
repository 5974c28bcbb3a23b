"""Validation and conversion of image files in a child process: no file can crash, stop or bloat its caller."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from components.child_process import ChildDied, ChildProcess
from components.preprocessing.header import header_error

if TYPE_CHECKING:
    from components.preprocessing.stored_picture import StoredPicture

# A GIF of one pixel.
_PROBE = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)


class ImageValidator:
    """Validates and converts image files: by their headers here, by decoding them in a child process."""

    def __init__(self, maximum_pixels: int, memory_bytes: int, seconds: float = 60, fork: bool = True) -> None:
        """Describe the child process; nothing is started yet.

        Args:
            maximum_pixels: Maximum of width times height, for a GIF in all frames together.
            memory_bytes: Memory that the child may use beside TensorFlow's.
            seconds: Time limit of decoding and converting a file, in seconds.
            fork: Whether the child is a fork of this process, which must have done nothing with TensorFlow but import
                it; see `ChildProcess`.
        """
        self._maximum_pixels = maximum_pixels
        self._child: ChildProcess[bytes, StoredPicture] = ChildProcess(
            partial(_start, maximum_pixels), memory_bytes, seconds, fork
        )

    @property
    def pid(self) -> int | None:
        """Id of the running child; None before the first file and after a death."""
        return self._child.pid

    def start(self) -> None:
        """Start the child. The first validation does this as well, but threads of this process should start later."""
        self._child.start()

    def close(self) -> None:
        """End the child."""
        self._child.close()

    def picture(self, content: bytes) -> "tuple[str | None, bytes | None]":
        """Return why a file is not a valid image, in a few words, and the picture to store.

        Args:
            content: The file.

        Returns:
            The reason, or None for a valid image; and the picture to store, or None for an invalid one.
        """
        reason = header_error(content, self._maximum_pixels)
        if reason is not None:
            return reason, None
        try:
            reason, converted = self._child.call(content)
        except ChildDied as death:
            return f"{'decoding' if death.reason.startswith('took') else 'the decoder'} {death.reason}", None
        return reason, None if reason else content if converted is None else converted


def _start(maximum_pixels: int) -> "Callable[[bytes], StoredPicture]":
    from components.preprocessing.conversion import convert
    from components.preprocessing.stored_picture import stored_picture

    stored_picture(_PROBE, maximum_pixels)
    convert(_PROBE, maximum_pixels)
    return partial(stored_picture, maximum_pixels=maximum_pixels)

"""Messages between a process and its child.

A result is a length of eight bytes and a pickle, sent through a socket. An argument lies in a file in memory, and only
its length is sent: an image is larger than the socket's buffer, so the processes would take turns several times.
"""

import os
import pickle
import struct
from collections.abc import Callable
from typing import Any

_LENGTH = struct.Struct("<Q")
# Length, and whether it is a pickle; bytes are written as they are.
_ARGUMENT = struct.Struct("<Q?")
# Larger arguments are removed from the file after use.
_KEPT_BYTES = 8 * 2**20


def send_result(write: Callable[[bytes], object], message: bytes) -> None:
    """Write a message."""
    # Two calls: one would copy the message.
    write(_LENGTH.pack(len(message)))
    write(message)


def receive_result(read: Callable[[memoryview], int]) -> bytearray | None:
    """Return the next message; None if the other side has closed the connection.

    Args:
        read: Reads into a buffer, and returns the number of bytes, 0 at the end.
    """
    header = _read(read, _LENGTH.size)
    return None if header is None else _read(read, _LENGTH.unpack(header)[0])


def send_argument(write: Callable[[bytes], object], file: int, argument: Any) -> None:
    """Write an argument to the file, and send its length. The other side must have read the last one before."""
    # Pickling takes five times as long as copying.
    is_pickled = type(argument) is not bytes
    content = pickle.dumps(argument, pickle.HIGHEST_PROTOCOL) if is_pickled else argument
    rest, offset = memoryview(content), 0
    while rest:
        count = os.pwrite(file, rest, offset)
        rest, offset = rest[count:], offset + count
    write(_ARGUMENT.pack(len(content), is_pickled))


def receive_argument(read: Callable[[memoryview], int], file: int) -> Any:
    """Return the next argument.

    Raises:
        EOFError: The other side has closed the connection.
    """
    header = _read(read, _ARGUMENT.size)
    if header is None:
        raise EOFError
    length, is_pickled = _ARGUMENT.unpack(header)
    content = os.pread(file, length, 0)
    if length > _KEPT_BYTES:
        os.ftruncate(file, 0)
    return pickle.loads(content) if is_pickled else content  # noqa: S301 - from the parent


def _read(read: Callable[[memoryview], int], length: int) -> bytearray | None:
    buffer = bytearray(length)
    rest = memoryview(buffer)
    while rest:
        count = read(rest)
        if count == 0:
            return None
        rest = rest[count:]
    return buffer

"""Atomic writes of files on this machine."""

import glob
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

# Suffix of the hidden file that becomes the written one. A killed task leaves it.
INCOMPLETE = ".part"


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a file that replaces `path` at the end of the block.

    If the block raises an exception, `path` stays unchanged. Missing folders are created.

    Args:
        path: The file to write.

    Yields:
        A hidden file in the same folder, open for writing.

    Raises:
        OSError: The folder or the file can't be written.
    """
    part = _part(path)
    try:
        with _synced(part) as file:
            yield file
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def atomic_create(path: Path, content: bytes) -> None:
    """Write a new file, whole or not at all. Missing folders are created.

    Args:
        path: The file to write.
        content: Content of the file.

    Raises:
        FileExistsError: The file exists.
        OSError: The folder or the file can't be written.
    """
    part = _part(path)
    try:
        with _synced(part) as file:
            file.write(content)
        # A link never replaces a file, unlike a rename.
        path.hardlink_to(part)
    finally:
        part.unlink(missing_ok=True)


def remove_incomplete(path: Path) -> bool:
    """Remove what killed writers of a file left, and return whether there was anything. A writer that runs fails.

    Args:
        path: The file that they were to write.
    """
    incomplete = list(path.parent.glob(f".{glob.escape(path.name)}.*{INCOMPLETE}"))
    for part in incomplete:
        part.unlink(missing_ok=True)
    return bool(incomplete)


def _part(path: Path) -> Path:
    """Return the hidden file that becomes `path`, in its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Named after the process: two processes may write the same file at the same time.
    return path.with_name(f".{path.name}.{socket.gethostname()}-{os.getpid()}{INCOMPLETE}")


@contextmanager
def _synced(part: Path) -> Iterator[BinaryIO]:
    with part.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())

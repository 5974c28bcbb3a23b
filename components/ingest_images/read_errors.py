"""Errors of reading a file: those that concern the file alone, and those that end the task."""

import errno
import os

from components.errors import TransientError
from components.storage.stores import AccessRefusedError
from components.transient import is_transient

VANISHED = "vanished between listing and reading"
UNREADABLE = "can't be read: "

# Other errors, e.g. too many open files, concern this process.
_OF_THE_FILE = {
    errno.EACCES,
    errno.EIO,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENXIO,
    errno.EPERM,
}


def read_error(error: Exception, path: str) -> str | None:
    """Return why a file can't be read, in a few words; None if the error does not concern the file alone.

    Args:
        error: The error of reading it.
        path: Path of the file, for the error.

    Raises:
        TransientError: The store does not answer, so that other files can't be read either.
    """
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return VANISHED
    if isinstance(error, AccessRefusedError):
        return UNREADABLE + error.reason
    if is_transient(error):
        raise TransientError(f"source: '{path}' can't be read: {error}. Run this step again.") from error
    if isinstance(error, OSError) and error.errno in _OF_THE_FILE:
        return UNREADABLE + os.strerror(error.errno).lower()
    return None

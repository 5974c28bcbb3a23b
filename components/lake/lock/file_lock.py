"""A lock that is a file, for the processes of one machine."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from components.errors import InputError

POLL_SECONDS = 0.2


@contextmanager
def file_lock(path: Path, timeout_seconds: float) -> Iterator[None]:
    """Hold a file's lock.

    Args:
        path: The file; its stem is the lock's name.
        timeout_seconds: How long to wait for another holder.

    Raises:
        TimeoutError: Someone else still holds it; the sentence names the holder.
        InputError: The file can't be written.
    """
    with _open(path) as file:
        try:
            for attempt in Retrying(
                retry=retry_if_exception_type(BlockingIOError),
                stop=stop_after_delay(timeout_seconds),
                wait=wait_fixed(POLL_SECONDS),
            ):
                with attempt:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except RetryError as error:
            file.seek(0)
            raise TimeoutError(
                f"'{path.stem}' of the lake is held by {file.read().strip() or 'another process'} for more than"
                f" {timeout_seconds:g} s. Wait for it to end, or end it, and run this step again."
            ) from error
        # The kernel drops the lock when its holder dies, so what the file says is only ever read while it is held.
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()} since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC")
        file.flush()
        yield


def _open(path: Path) -> TextIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a+")
    except OSError as error:
        raise not_writable(str(error.filename or path), error) from error


def not_writable(place: str, error: OSError) -> InputError:
    """Return what to raise when a place of the lake can't be written to."""
    return InputError(
        f"lake: '{place}' can't be written ({error.strerror}). Give the task's identity the right to write there, or"
        " name another lake."
    )

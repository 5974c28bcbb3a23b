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
from components.lock.waiting import WaitingNotice

POLL_SECONDS = 0.2


@contextmanager
def file_lock(path: Path, timeout_seconds: float) -> Iterator[None]:
    """Hold a lock that is a file, and print its holder while waiting.

    Args:
        path: The file; its stem is the name of the lock.
        timeout_seconds: Maximum time to wait for another holder.

    Raises:
        TimeoutError: Another holder still has the lock after the timeout; the message names the holder.
        InputError: The file can't be written.
    """
    with _open(path) as file:
        notice = WaitingNotice(path.stem, timeout_seconds)
        try:
            for attempt in Retrying(
                retry=retry_if_exception_type(BlockingIOError),
                stop=stop_after_delay(timeout_seconds),
                wait=wait_fixed(POLL_SECONDS),
                before_sleep=lambda attempt: notice.show(f"Held by {holder_text(file)}."),
            ):
                with attempt:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except RetryError as error:
            raise TimeoutError(
                f"'{path.stem}' of the lake is locked by {holder_text(file)}; waited {timeout_seconds:g} s. Wait until"
                " that task ends, or end it, and run this task again."
            ) from error
        # The kernel releases the lock of a dead process, so others read this text only while the lock is held.
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()} since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC")
        file.flush()
        yield


def holder_text(file: TextIO) -> str:
    """Return the holder that a lock file names, as a phrase."""
    file.seek(0)
    return file.read().strip() or "another process"


def _open(path: Path) -> TextIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a+")
    except OSError as error:
        raise not_writable(str(error.filename or path), error) from error


def not_writable(place: str, error: OSError) -> InputError:
    """Return the error for a folder or file of the lake that can't be written."""
    return InputError(
        f"lake: '{place}' can't be written ({error.strerror}). Grant the task's identity write access, or name another"
        " lake."
    )

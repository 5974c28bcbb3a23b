"""The writer lock: at most one driver writes a table, or runs the stream that feeds it.

On local files and on S3, Delta's log is safe within one JVM only: two drivers can both find that version N does not
exist and both write it, and one commit is lost without an error. Each KFP task is a driver of its own. Azure and
Google reject a second commit of a version, but a stream still needs a single driver.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from components.errors import InputError
from components.lock.file_lock import file_lock, not_writable
from components.lock.lease import LockLost, lease_lock
from components.storage import uri

__all__ = ["LEASE", "LockLost", "lock_folder", "not_writable", "writer_lock"]

LEASE = "lease"


@contextmanager
def writer_lock(
    root: str, name: str, timeout_seconds: float, lock: str = "", on_lost: Callable[[], None] = lambda: None
) -> Iterator[Callable[[], None]]:
    """Hold a lock of a lake, and yield a function that checks whether it is still held.

    Call that function before each commit. It raises `LockLost` if the lock was lost.

    Args:
        root: The lake's normalized root URI.
        name: A table or a stream.
        timeout_seconds: Maximum time to wait for another holder.
        lock: The setting `lock`: empty for a file in a lake on this machine, an absolute folder for a file there, or
            `lease` for a Kubernetes Lease.
        on_lost: Function that cancels work which could still commit. Another thread calls it when the lock is lost.

    Raises:
        TimeoutError: Another holder still has the lock after the timeout; the message names the holder.
        InputError: The setting is invalid, or it is empty and the lake is not on this machine.
        LockLost: The lock was lost before the block ended.
    """
    if lock == LEASE:
        with lease_lock(root, name, timeout_seconds, on_lost) as check:
            yield check
        return
    with file_lock(lock_folder(root, lock) / f"{name}.lock", timeout_seconds):
        # A file lock can't be lost: the kernel keeps it until the process ends.
        yield lambda: None


def lock_folder(root: str, lock: str) -> Path:
    """Return the folder of a lake's lock files. It may not exist yet.

    Args:
        root: The lake's normalized root URI.
        lock: The setting `lock`: empty, or an absolute folder.

    Raises:
        InputError: The setting is invalid, or it is empty and the lake is not on this machine.
    """
    if lock:
        if not lock.startswith("/"):
            raise InputError(f"lock: '{lock}' is neither '{LEASE}' nor an absolute folder. Set it to one of them.")
        # One folder may serve several lakes.
        return Path(lock) / uri.digest(root)
    folder = uri.local_path(root)
    if folder is None:
        raise InputError(
            f"lock: not set, but the lake '{root}' needs a lock for its writers. Set it to '{LEASE}' on a cluster, or"
            " to an absolute folder if all writers run on this machine."
        )
    return folder / "_locks"

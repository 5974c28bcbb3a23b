"""The writer's lock: one driver at a time writes a table, or runs the stream that feeds it.

Delta's log on local files and on S3 is safe within one JVM only: two drivers can both find that version N does not
exist, both write it, and one commit is gone without an error. Every KFP task is a driver of its own. Azure's store
takes a commit once, whoever writes it; its streams still are one driver's at a time.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from components.errors import InputError
from components.lake.lock.file_lock import file_lock, not_writable
from components.lake.lock.lease import LockLost, lease_lock
from components.storage import uri

__all__ = ["LEASE", "LockLost", "not_writable", "writer_lock"]

LEASE = "lease"


@contextmanager
def writer_lock(
    root: str, name: str, timeout_seconds: float, lock: str = "", on_lost: Callable[[], None] = lambda: None
) -> Iterator[Callable[[], None]]:
    """Hold the lock `name` of the lake at `root`, and yield a function to call before a commit: it raises `LockLost`.

    Args:
        root: The lake's normalised root URI.
        name: A table, or a stream.
        timeout_seconds: How long to wait for another holder.
        lock: The setting `lock`: empty for a file below a lake of this machine, an absolute folder for a file there,
            `lease` for a Kubernetes Lease.
        on_lost: Called by another thread if the lock is lost, to end what could still commit.

    Raises:
        TimeoutError: Someone else still holds it; the sentence names the holder.
        InputError: The setting makes no sense, or there is no lock for this kind of store without it.
        LockLost: It was lost before the block was left.
    """
    if lock == LEASE:
        with lease_lock(root, name, timeout_seconds, on_lost) as check:
            yield check
        return
    with file_lock(_folder(root, lock) / f"{name}.lock", timeout_seconds):
        # The kernel takes it from nobody.
        yield lambda: None


def _folder(root: str, lock: str) -> Path:
    if lock:
        if not lock.startswith("/"):
            raise InputError(f"lock: '{lock}' is neither '{LEASE}' nor an absolute folder. Correct it.")
        # One folder may serve several lakes.
        return Path(lock) / uri.digest(root)
    folder = uri.local_path(root)
    if folder is None:
        raise InputError(
            f"lock: not set, and writers of '{root}' can't be kept apart without. Set it to '{LEASE}' on a cluster, or"
            " to an absolute folder if all of them run on this machine."
        )
    return folder / "_locks"

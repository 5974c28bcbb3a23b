"""Who holds the locks of a lake. Reading this takes no lock."""

import fcntl
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from kubernetes import client

from components.cluster.api import TIMEOUTS_SECONDS, api_client
from components.lock import LEASE, lock_folder
from components.lock.file_lock import holder_text
from components.lock.lease import lease_holder, lease_name


@dataclass(frozen=True)
class HeldLock:
    """A lock that has a holder.

    Attributes:
        name: Name of the lock.
        holder: The holder, and since when, as a phrase.
        silent_seconds: Seconds since the holder's last renewal, by the clock of this machine; 0 for a file, which the
            kernel releases when its holder ends.
        duration_seconds: Seconds without a renewal after which a waiting task takes the lock over; 0 for a file.
    """

    name: str
    holder: str
    silent_seconds: float = 0
    duration_seconds: float = 0


def held_locks(root: str, names: Iterable[str], lock: str, namespace: str) -> list[HeldLock]:
    """Return the locks of a lake that have a holder, by name.

    Args:
        root: The lake's normalized root URI.
        names: Names of Leases to read, because tasks may not list them. Of a folder, all lock files are read.
        lock: The setting `lock`; see `writer_lock`.
        namespace: Namespace of the Leases.

    Raises:
        InputError: The setting is invalid, or it is empty and the lake is not on this machine.
    """
    found = _held_leases(root, names, namespace) if lock == LEASE else _held_files(root, lock)
    return sorted(found, key=lambda each: each.name)


def _held_files(root: str, lock: str) -> Iterator[HeldLock]:
    for path in lock_folder(root, lock).glob("*.lock"):
        with suppress(FileNotFoundError), path.open() as file:
            try:
                # A writer that tries at this moment tries again after 0.2 s.
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                yield HeldLock(path.stem, holder_text(file))


def _held_leases(root: str, names: Iterable[str], namespace: str) -> Iterator[HeldLock]:
    leases = client.CoordinationV1Api(api_client())
    for name in names:
        try:
            lease = leases.read_namespaced_lease(lease_name(root, name), namespace, _request_timeout=TIMEOUTS_SECONDS)
        except client.ApiException as error:
            if error.status != 404:
                raise
            continue
        silent = (datetime.now(UTC) - lease.spec.renew_time).total_seconds()
        yield HeldLock(name, lease_holder(lease), max(0.0, silent), float(lease.spec.lease_duration_seconds))

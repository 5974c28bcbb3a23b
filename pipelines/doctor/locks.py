"""The locks of the lake: whether they work, and who holds them."""

from collections.abc import Iterator
from contextlib import nullcontext

from components.ingest_images.plans import transaction_id
from components.lake.class_names import CLASS_NUMBERS
from components.lake.tables import TABLES
from components.lock import LEASE, lock_folder, writer_lock
from components.lock.holders import HeldLock, held_locks
from components.registry.champion import lock_name
from components.storage import uri
from components.storage.access import Access
from components.storage.store_folder import StoreFolder
from pipelines.catalogue import ComponentName
from pipelines.doctor.cluster_errors import cluster_errors
from pipelines.doctor.context import Context
from pipelines.doctor.finding import Finding, ok, warning

_PROBE = "doctor"
_PROBE_SECONDS = 20


def check_locks(context: Context) -> Iterator[Finding]:
    """Yield findings about the locks.

    With `write`, it also takes a lock of its own and releases it.
    """
    lock = context.settings.lock
    if lock != LEASE:
        folder = uri.normalize(str(lock_folder(context.root, lock)), "lock")
        StoreFolder("lock", folder, Access()).check()
    with cluster_errors("leases") if lock == LEASE else nullcontext():
        held = held_locks(context.root, names_of(context), lock, context.namespace)
    for each in held:
        yield finding_of(each)
    if not held:
        yield ok("lock: nobody holds a lock of the lake.")
    if context.write:
        yield from _probe(context.root, lock)


def _probe(root: str, lock: str) -> Iterator[Finding]:
    """Take a lock and release it. A lock file is removed."""
    if lock != LEASE and not lock_folder(root, lock).exists():
        # Taking a lock would create the folder.
        yield ok("lock: no lock was taken, because the folder of the lock files does not exist yet.")
        return
    with writer_lock(root, _PROBE, _PROBE_SECONDS, lock) as check:
        check()
    if lock != LEASE:
        (lock_folder(root, lock) / f"{_PROBE}.lock").unlink()
    yield ok("lock: a lock was taken and released.")


def names_of(context: Context) -> list[str]:
    """Return the names of the locks that steps take, except those of single trainings."""
    sources = [
        uri.normalize(place.address, place.field)
        for place in context.places
        if place.kind in ("labeled_source", "unlabeled_source")
    ]
    return [
        "create",
        CLASS_NUMBERS,
        lock_name(context.settings.model_name),
        *ComponentName,
        *(table.name for table in TABLES),
        *(f"ingest-{transaction_id(source)}" for source in sources),
    ]


def finding_of(held: HeldLock) -> Finding:
    """Return the finding about a lock that has a holder."""
    if held.silent_seconds > held.duration_seconds:
        return warning(
            f"lock: '{held.name}' belongs to {held.holder}, which has not renewed it for {held.silent_seconds:.0f} s.",
            "Nothing: the next task takes it over. If the pod still runs, look at its log and the clocks.",
        )
    return ok(f"lock: '{held.name}' is held by {held.holder}.")

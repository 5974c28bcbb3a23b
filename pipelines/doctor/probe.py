"""Write a probe object into a folder, and remove it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import uuid4

from components.storage import uri
from components.storage.files import Files
from pipelines.doctor.clocks import difference
from pipelines.doctor.finding import Finding, error, ok

_FIRST, _SECOND = b"first", b"second"


def probe(field: str, folder: str, files: Files) -> Iterator[Finding]:
    """Write, list, replace, read and remove a probe object, and yield findings.

    Args:
        field: Setting or parameter that names the folder.
        folder: Normalized URI of the folder.
        files: Access to the folder.
    """
    # Ingest, import and the tables ignore such names.
    name = f"_doctor-{uuid4().hex}"
    object_uri = uri.join(folder, name)
    with _removed(object_uri, files):
        started = datetime.now(UTC)
        files.create_bytes(object_uri, _FIRST)
        yield from _conditional_write(field, object_uri, files)
        if name not in files.list_names(folder):
            yield error(
                f"{field}: '{folder}' does not list an object that was just written.",
                "Use a store with consistent listings.",
            )
        files.write_bytes(object_uri, _SECOND)
        if files.read_bytes(object_uri) != _SECOND:
            yield error(
                f"{field}: '{folder}' returned an older content of an object that was just replaced.",
                "Use a store with consistent reads.",
            )
        if status := files.status(object_uri):
            yield difference(f"the store of {field}", (status.modification_time - started).total_seconds())
    if files.exists(object_uri):
        yield error(
            f"{field}: the probe '{object_uri}' could not be removed.",
            "Delete it, and grant the pipeline's identity the permission to delete.",
        )
    yield ok(f"{field}: '{folder}' was written, listed, replaced, read and deleted.")


def _conditional_write(field: str, object_uri: str, files: Files) -> Iterator[Finding]:
    try:
        files.create_bytes(object_uri, _SECOND)
    except FileExistsError:
        if files.read_bytes(object_uri) == _FIRST:
            yield ok(f"{field}: a write of a new object does not replace an existing one.")
            return
    yield error(
        f"{field}: the store replaced an object by a write that must create a new one, so two runs could plan the same"
        " batch.",
        "Use a store that supports conditional writes (If-None-Match), e.g. a newer release of its server.",
    )


@contextmanager
def _removed(object_uri: str, files: Files) -> Iterator[None]:
    """Remove an object at the end of the block."""
    try:
        yield
    finally:
        files.remove(object_uri)

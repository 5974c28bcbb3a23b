"""Small files by URI, whatever the store, with the access that this process' environment gives."""

from contextlib import AbstractContextManager
from typing import Any, BinaryIO

from components.settings import Settings
from components.storage.access import Access
from components.storage.stores import FileStatus, RemoteStore, Store, open_store


def status(uri: str) -> FileStatus | None:
    """Return a file's metadata, or None if there is no such file."""
    return _store(uri).status(uri)


def exists(uri: str) -> bool:
    """Tell whether there is a file or folder at `uri`."""
    return _store(uri).exists(uri)


def is_folder(uri: str) -> bool:
    """Tell whether there is a folder at `uri`."""
    return _store(uri).is_folder(uri)


def list_names(uri: str) -> list[str]:
    """Return the names in a folder, sorted; none if it does not exist."""
    return _store(uri).list_names(uri)


def find(uri: str) -> dict[str, FileStatus]:
    """Return the files below a folder, at any depth, by their names below it; none if it does not exist."""
    return _store(uri).find(uri)


def read_bytes(uri: str) -> bytes:
    """Return a small file's content.

    Raises:
        FileNotFoundError: There is no such file.
    """
    return _store(uri).read(uri)


def read_text(uri: str) -> str:
    """Return a small UTF-8 file's text.

    Raises:
        FileNotFoundError: There is no such file.
    """
    return read_bytes(uri).decode()


def open_file(uri: str) -> AbstractContextManager[BinaryIO]:
    """Open a file of any size, to read parts of it.

    Raises:
        FileNotFoundError: There is no such file.
    """
    return _store(uri).open(uri)


def write_bytes(uri: str, content: bytes) -> None:
    """Write a file in place of what was there, whole or not at all."""
    _store(uri).write(uri, content)


def write_text(uri: str, text: str) -> None:
    """Write a UTF-8 file in place of what was there, whole or not at all."""
    write_bytes(uri, text.encode())


def remove(uri: str) -> None:
    """Remove a file, if there is one."""
    _store(uri).remove(uri)


def remove_folder(uri: str) -> None:
    """Remove a folder with all that is in it, if there is one."""
    _store(uri).remove_folder(uri)


def fsspec_filesystem(uri: str) -> Any | None:
    """Return fsspec's file system of a remote URI, for libraries that read by it; None for a local one."""
    store = _store(uri)
    return store.filesystem if isinstance(store, RemoteStore) else None


def _store(uri: str) -> Store:
    return open_store(uri, _access())


def _access() -> Access:
    return Access.of(Settings.load())

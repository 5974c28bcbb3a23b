"""Read and write files by URI."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Self

from components.settings import Settings
from components.storage.access import Access
from components.storage.stores import FileStatus, RemoteStore, Store, open_store


@dataclass(frozen=True)
class Files:
    """Files in local and remote stores. It can be pickled for Spark's workers.

    Attributes:
        access: Addresses and credentials of the remote stores. Local files need none.
    """

    access: Access = field(default_factory=Access)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the files that the settings give access to."""
        return cls(Access.of(settings))

    def check(self, uri: str) -> None:
        """Check that the store is reachable and has the URI's bucket or container.

        Raises:
            InputError: The store refuses access, or lacks the bucket or container.
            TransientError: The store is unreachable.
        """
        self._store(uri).check(uri)

    def status(self, uri: str) -> FileStatus | None:
        """Return a file's metadata, or None if the file does not exist."""
        return self._store(uri).status(uri)

    def exists(self, uri: str) -> bool:
        """Return whether a file or folder exists at `uri`."""
        return self._store(uri).exists(uri)

    def is_folder(self, uri: str) -> bool:
        """Return whether `uri` is a folder.

        In a remote store, every prefix that is not a file counts as a folder, even without objects.

        Raises:
            InputError: The bucket or container does not exist.
        """
        return self._store(uri).is_folder(uri)

    def list_names(self, uri: str) -> list[str]:
        """Return the sorted names in a folder; empty if the folder does not exist."""
        return self._store(uri).list_names(uri)

    def find(self, uri: str) -> dict[str, FileStatus]:
        """Return all files below a folder, by relative name.

        The result is empty if the folder does not exist.
        """
        return self._store(uri).find(uri)

    def read_bytes(self, uri: str) -> bytes:
        """Return the content of a small file.

        Raises:
            FileNotFoundError: The file does not exist.
        """
        return self._store(uri).read(uri)

    def read_text(self, uri: str) -> str:
        """Return the text of a small UTF-8 file.

        Raises:
            FileNotFoundError: The file does not exist.
        """
        return self.read_bytes(uri).decode()

    def open_file(self, uri: str) -> AbstractContextManager[BinaryIO]:
        """Open a file of any size for reading.

        Raises:
            FileNotFoundError: The file does not exist.
        """
        return self._store(uri).open(uri)

    def write_bytes(self, uri: str, content: bytes) -> None:
        """Write or replace a file atomically."""
        self._store(uri).write(uri, content)

    def create_bytes(self, uri: str, content: bytes) -> None:
        """Write a new file atomically.

        Raises:
            FileExistsError: The file exists.
        """
        self._store(uri).create(uri, content)

    def write_text(self, uri: str, text: str) -> None:
        """Write or replace a UTF-8 file atomically."""
        self.write_bytes(uri, text.encode())

    def open_replacement(self, uri: str) -> AbstractContextManager[BinaryIO]:
        """Open a file of any size for writing. It replaces `uri` at the end of a block that raises no error."""
        return self._store(uri).open_replacement(uri)

    def copy_from(self, uri: str, path: Path) -> None:
        """Copy a local file to a URI atomically, without loading it into memory.

        Args:
            uri: URI of the copy. An existing file is replaced.
            path: Path of the local file.
        """
        self._store(uri).copy_from(uri, path)

    def remove(self, uri: str) -> None:
        """Remove a file if it exists."""
        self._store(uri).remove(uri)

    def remove_folder(self, uri: str) -> None:
        """Remove a folder and its contents if it exists."""
        self._store(uri).remove_folder(uri)

    def fsspec_filesystem(self, uri: str) -> Any | None:
        """Return the fsspec file system of a remote URI, or None for a local URI."""
        store = self._store(uri)
        return store.filesystem if isinstance(store, RemoteStore) else None

    def _store(self, uri: str) -> Store:
        return open_store(uri, self.access)

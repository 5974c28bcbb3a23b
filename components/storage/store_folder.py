"""A folder on this machine, in S3, in Azure Data Lake Storage or in Google Cloud Storage."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from components.atomic_write import remove_incomplete
from components.errors import InputError, TransientError
from components.storage import uri as uris
from components.storage.access import Access
from components.storage.folder import Folder
from components.storage.stores import FileStatus, Store, open_store
from components.transient import is_transient


@dataclass(frozen=True)
class StoreFolder(Folder):
    """A folder on this machine, in S3, in Azure Data Lake Storage or in Google Cloud Storage.

    A write replaces an existing file.

    Attributes:
        access: Addresses and credentials of the remote stores.
    """

    kind: ClassVar[str] = "folder"

    access: Access

    def check(self) -> None:  # noqa: D102 - described by Folder, here and below
        path = uris.local_path(self.uri)
        with self._errors():
            if path is None:
                self._store.check(self.uri)
            else:
                _check_writable(path)

    def is_file(self) -> bool:
        """Return whether the URI is a file."""
        with self._errors():
            return self._store.status(self.uri) is not None

    def status(self, name: str) -> FileStatus | None:  # noqa: D102
        with self._errors():
            return self._store.status(uris.join(self.uri, name))

    def find(self) -> Mapping[str, FileStatus]:  # noqa: D102
        with self._errors():
            if not self._store.is_folder(self.uri):
                raise InputError(
                    f"no file or folder '{self.uri}'. Check the URI, or grant the task's identity read access."
                )
            return self._store.find(self.uri)

    def read(self, name: str) -> bytes:  # noqa: D102
        with self._errors():
            return self._store.read(uris.join(self.uri, name))

    def write(self, name: str, content: bytes, metadata: Mapping[str, str]) -> None:  # noqa: D102
        with self._errors():
            self._store.write(uris.join(self.uri, name), content)

    def remove(self, name: str) -> bool:  # noqa: D102
        existed = self.status(name) is not None
        with self._errors():
            file = uris.join(self.uri, name)
            self._store.remove(file)
            path = uris.local_path(file)
            return (path is not None and remove_incomplete(path)) or existed

    @property
    def _store(self) -> Store:
        return open_store(self.uri, self.access)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except InputError as error:
            # Not of the same class: the constructor of a subclass takes more than the message.
            raise InputError(f"{self.field}: {error}") from error
        except TransientError as error:
            raise TransientError(f"{self.field}: {error}") from error
        except FileNotFoundError:
            raise
        except OSError as error:
            kind = TransientError if is_transient(error) else InputError
            raise kind(
                f"{self.field}: '{error.filename or self.uri}': {error.strerror or error}. Fix that, then run this task"
                " again."
            ) from error


def _check_writable(path: Path) -> None:
    existing = next(ancestor for ancestor in (path, *path.parents) if ancestor.exists())
    if not existing.is_dir():
        raise InputError(f"'{existing}' is a file. Name a folder.")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(f"no permission to write to '{existing}'. Grant it, or name another folder.")

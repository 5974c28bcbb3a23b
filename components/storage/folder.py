"""The interface of folders on this machine and in stores."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from components.storage.stores import FileStatus


@dataclass(frozen=True)
class Folder(ABC):
    """A folder on this machine or in a store.

    Spark's workers get a copy of it, so it holds no connection. Several threads may read and write at once. An unusable
    folder raises an `InputError`, an unreachable one a `TransientError`. Both messages begin with the field.

    Attributes:
        kind: Name of this kind of folder, which `labeling_requests` stores as `service`.
        field: Parameter or setting that contains the address, for errors.
        uri: URI or URL of the folder.
    """

    kind: ClassVar[str]

    field: str
    uri: str

    @abstractmethod
    def check(self) -> None:
        """Raise an error if the folder can't be used. This check writes nothing."""

    @abstractmethod
    def status(self, name: str) -> FileStatus | None:
        """Return a file's metadata, or None if it does not exist.

        Args:
            name: Path of the file, relative to the folder.
        """

    @abstractmethod
    def find(self) -> Mapping[str, FileStatus]:
        """Return the metadata of all files below the folder, by relative path."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Raises:
            FileNotFoundError: The file does not exist.
        """

    @abstractmethod
    def write(self, name: str, content: bytes, metadata: Mapping[str, str]) -> None:
        """Write a file atomically. Idempotent.

        Args:
            name: Path of the file, relative to the folder.
            content: Content of the file.
            metadata: Metadata to store with the file, if this kind of folder supports it.

        Raises:
            InputError: The file exists with another content, and this kind of folder never replaces files.
        """

    @abstractmethod
    def remove(self, name: str) -> bool:
        """Remove a file, and return whether it existed.

        Args:
            name: Path of the file, relative to the folder.
        """

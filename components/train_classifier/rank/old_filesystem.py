"""An adapter from fsspec to pyarrow's old file system interface, which Petastorm 0.13.1 uses."""

from typing import Any, BinaryIO

from pyarrow.filesystem import FileSystem

from components.storage.files import Files


class OldFileSystem(FileSystem):  # type: ignore[misc]
    """The methods of the old interface that Petastorm calls to read a list of files.

    Args:
        filesystem: A file system of fsspec.
    """

    def __init__(self, filesystem: Any) -> None:
        self._filesystem = filesystem

    @classmethod
    def of(cls, uri: str, files: Files) -> "OldFileSystem | None":
        """Return the file system of a remote URI, or None for a local one.

        Petastorm opens local files itself.
        """
        filesystem = files.fsspec_filesystem(uri)
        return None if filesystem is None else cls(filesystem)

    def isdir(self, path: str) -> bool:
        """Return whether a path is a folder."""
        return bool(self._filesystem.isdir(path))

    def isfile(self, path: str) -> bool:
        """Return whether a path is a file."""
        return bool(self._filesystem.isfile(path))

    def open(self, path: str, mode: str = "rb") -> BinaryIO:
        """Open a file."""
        opened: BinaryIO = self._filesystem.open(path, mode)
        return opened

    def _isfilestore(self) -> bool:
        return False

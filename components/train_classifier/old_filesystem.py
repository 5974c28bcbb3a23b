"""pyarrow's old interface of file systems, which Petastorm 0.13.1 reads by, over those of fsspec."""

from typing import Any, BinaryIO

from pyarrow.filesystem import FileSystem

from components.storage import files


class OldFileSystem(FileSystem):  # type: ignore[misc]
    """What reading a list of files takes of the interface.

    Args:
        filesystem: fsspec's.
    """

    def __init__(self, filesystem: Any) -> None:
        self._filesystem = filesystem

    @classmethod
    def of(cls, uri: str) -> "OldFileSystem | None":
        """Return the file system of a remote URI, or None for a local one: Petastorm knows that itself."""
        filesystem = files.fsspec_filesystem(uri)
        return None if filesystem is None else cls(filesystem)

    def isdir(self, path: str) -> bool:
        """Tell whether there is a folder."""
        return bool(self._filesystem.isdir(path))

    def isfile(self, path: str) -> bool:
        """Tell whether there is a file."""
        return bool(self._filesystem.isfile(path))

    def open(self, path: str, mode: str = "rb") -> BinaryIO:
        """Open a file."""
        opened: BinaryIO = self._filesystem.open(path, mode)
        return opened

    def _isfilestore(self) -> bool:
        return False

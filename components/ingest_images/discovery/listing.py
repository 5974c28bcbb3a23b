"""The listing of a landing folder, whatever its store."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol


class ListedFile(NamedTuple):
    """A file in a landing folder.

    Attributes:
        name: Path relative to the folder, unchanged.
        length: Length in bytes.
        modified: Time of the last write, in whole seconds since 1970.
        etag: Version of the content; empty if the store has none.
    """

    name: str
    length: int
    modified: int
    etag: str


class Listing(Protocol):
    """The files below a folder.

    Names are compared by code points, which is the byte order of UTF-8 and the order of keys in S3. Errors name the
    field `source`: an `InputError` for a missing folder or refused access, a `TransientError` for a store that is
    unreachable.
    """

    def files(self, start: str = "") -> Iterator[ListedFile]:
        """Yield the files whose name comes after `start`, in the order of names.

        The file `start` itself may be among them. A store may have another order than S3: then each name still appears
        exactly once.
        """

    def status(self, name: str) -> ListedFile | None:
        """Return a file's current metadata, or None if it does not exist."""

    def archive(self, file: ListedFile, destination: str) -> bool:
        """Move a file to a folder, or delete it.

        Args:
            file: The file with its expected metadata. If it has other metadata now, it stays.
            destination: Normalized URI of the folder, in the same store; empty to delete. An existing file is replaced.

        Returns:
            Whether the file was taken away.
        """

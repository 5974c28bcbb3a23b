"""List a local folder in the order of keys in an object store."""

import errno
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from components.errors import InputError
from components.ingest_images.discovery.counts import DiscoveryCounts
from components.ingest_images.discovery.listing import ListedFile
from components.ingest_images.discovery.name_filter import is_hidden
from components.ingest_images.discovery.sorted_runs import sort_names
from components.storage.uri import local_path

# Errors of one folder. Any other error, e.g. of a lost network share, concerns the whole source.
_UNREADABLE = (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG)
# Years 1 to 9999, which are all years that Python and SQL can express.
_FIRST_SECOND = -62_135_596_800
_LAST_SECOND = 253_402_300_799


@dataclass(frozen=True)
class LocalListing:
    """The regular files below a local folder.

    It does not follow symbolic links: the target is either in the folder, where it is found anyway, or outside of it.
    Names are read as bytes, so that the result does not depend on the locale.

    Attributes:
        folder: The folder; may itself be a link.
        counts: Receives the counts of what is not listed.
    """

    folder: Path
    counts: DiscoveryCounts

    def files(self, start: str = "") -> Iterator[ListedFile]:  # noqa: D102 - described by Listing
        root = self._root
        self._check(root)
        first = start.encode()
        stack = [self._names(root, b"")]
        while stack:
            name = next(stack[-1], None)
            if name is None:
                stack.pop()
            elif name < first and not (name.endswith(b"/") and first.startswith(name)):
                continue
            elif name.endswith(b"/"):
                stack.append(self._names(root, name))
            else:
                try:
                    found = self._file(root, name)
                except PermissionError:
                    # The folder may be listed, but not entered.
                    self.counts.add_unreadable_folder(os.path.join(root, os.path.dirname(name)))
                    stack.pop()
                    continue
                if found is not None:
                    yield found

    def status(self, name: str) -> ListedFile | None:  # noqa: D102
        return _status(self._root, name.encode())

    def archive(self, file: ListedFile, destination: str) -> bool:  # noqa: D102
        # Between the comparison and the move, a writer has some microseconds to replace the file. Its content would
        # then be in the archive only.
        if self.status(file.name) != file:
            return False
        path = os.path.join(self._root, file.name.encode())
        if not destination:
            os.unlink(path)
            return True
        folder = local_path(destination)
        assert folder is not None
        target = os.path.join(os.fsencode(folder), file.name.encode())
        os.makedirs(os.path.dirname(target), exist_ok=True)
        try:
            os.replace(path, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            # The copy is complete before it has its name.
            partial = target + b".part"
            shutil.copy2(path, partial)
            os.replace(partial, target)
            os.unlink(path)
        return True

    @property
    def _root(self) -> bytes:
        return os.fsencode(self.folder)

    def _check(self, root: bytes) -> None:
        try:
            os.scandir(root).close()
        except (FileNotFoundError, NotADirectoryError):
            raise InputError(
                f"source: folder '{self.folder}' not found. Check the path, or mount the folder into this task."
            ) from None
        except PermissionError:
            raise InputError(
                f"source: no permission to list folder '{self.folder}'. Grant this task read access to it."
            ) from None

    def _names(self, root: bytes, prefix: bytes) -> Iterator[bytes]:
        """Yield the sorted relative paths of a folder's files, and of its folders with a slash at their end.

        The slash gives both the order that they have among the keys of an object store.

        Args:
            root: The landing folder.
            prefix: Relative path of the folder, with a slash at its end; empty for the landing folder.
        """
        folder = os.path.join(root, prefix)
        try:
            with os.scandir(folder) as entries:
                return sort_names(prefix + name for entry in entries if (name := self._listed_name(entry)))
        except (FileNotFoundError, NotADirectoryError):
            self.counts.vanished += 1
        except OSError as error:
            if error.errno not in _UNREADABLE:
                raise
            self.counts.add_unreadable_folder(folder)
        return iter(())

    def _listed_name(self, entry: "os.DirEntry[bytes]") -> bytes:
        """Return the name of a file, or of a folder with a slash; empty for an entry that is not listed."""
        if entry.is_symlink():
            self.counts.links += 1
        elif entry.is_file(follow_symlinks=False):
            return entry.name
        elif not entry.is_dir(follow_symlinks=False):
            self.counts.special += 1
        elif is_hidden(entry.name.decode("utf-8", "replace")):
            self.counts.hidden += 1
        else:
            return entry.name + b"/"
        return b""

    def _file(self, root: bytes, name: bytes) -> ListedFile | None:
        """Return a file's metadata, or None if it vanished or its name is not UTF-8. Counts both."""
        try:
            found = _status(root, name)
        except UnicodeDecodeError:
            self.counts.add_unreadable_name(os.path.join(root, name))
            return None
        if found is None:
            self.counts.vanished += 1
        return found


def _status(root: bytes, name: bytes) -> ListedFile | None:
    """Return the metadata of a regular file, or None for anything else."""
    text = name.decode()
    try:
        found = os.stat(os.path.join(root, name), follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not S_ISREG(found.st_mode):
        return None
    seconds = min(max(found.st_mtime_ns // 10**9, _FIRST_SECOND), _LAST_SECOND)
    # Nanoseconds reveal a file that was replaced within a second by one of the same length.
    return ListedFile(text, found.st_size, seconds, str(found.st_mtime_ns))

"""Sources of annotations: folders and files that a labeling service exports to."""

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import PurePosixPath

from components.errors import InputError
from components.labeling.batches import MANIFEST
from components.labeling.formats import SUFFIXES
from components.settings import Settings
from components.storage.blob_folder import BlobFolder
from components.storage.folder import Folder
from components.storage.open_folder import open_folder
from components.storage.store_folder import StoreFolder


@dataclass(frozen=True)
class Export:
    """A file of annotations.

    Attributes:
        name: Path of the file relative to the source's folder.
        version: Version of the file; it changes with each write.
        modified_at: Time of the last write, in UTC.
    """

    name: str
    version: str
    modified_at: datetime


@dataclass
class OtherFiles:
    """Files of a suffix that is none of ours.

    Attributes:
        count: Number of files.
        example: Name of the first one.
    """

    count: int
    example: str


@dataclass(frozen=True)
class Listing:
    """The files of a source.

    Attributes:
        exports: The exports, the newest first.
        others: The files that are not read, by suffix in lower case.
    """

    exports: list[Export]
    others: dict[str, OtherFiles]


@dataclass(frozen=True)
class Source:
    """A folder of exports, or a single export.

    Attributes:
        uri: URI of the folder or of the single file.
        folder: The folder, or the folder of the single file.
        only: Name of the single file; empty reads all files.
    """

    uri: str
    folder: Folder
    only: str = ""

    def listing(self) -> Listing:
        """Return the exports, and what else the source contains.

        Files and folders whose names begin with `_` or `.` are ignored, because writers use such names until they
        finish. Manifests of exported batches are ignored, because they contain the model's predictions.

        Raises:
            InputError: The folder does not exist or can't be read.
        """
        if self.only:
            # A missing file is not an error: the service creates it with the first annotation.
            status = self.folder.status(self.only)
            found = {} if status is None else {self.only: status}
        else:
            found = {name: status for name, status in self.folder.find().items() if not _is_ignored(name)}
        exports = [
            Export(name, status.version, status.modification_time)
            for name, status in found.items()
            if name.lower().endswith(SUFFIXES)
        ]
        exports.sort(key=lambda export: (export.modified_at, export.name), reverse=True)
        others: dict[str, OtherFiles] = {}
        for name in sorted(name for name in found if not name.lower().endswith(SUFFIXES)):
            others.setdefault(PurePosixPath(name).suffix.lower(), OtherFiles(0, name)).count += 1
        return Listing(exports, others)

    def read(self, export: Export) -> bytes:
        """Return the content of an export.

        Raises:
            FileNotFoundError: The export no longer exists.
            InputError: The export can't be read.
        """
        return self.folder.read(export.name)


def open_source(address: str, settings: Settings) -> Source:
    """Return the source at an address.

    Args:
        address: Absolute path or URI (`file`, `s3a`, `abfss`, `gs`) of a folder or a file, or URL of an Azure Blob
            container and a folder or a blob in it.
        settings: Settings with the credentials of remote stores.

    Raises:
        InputError: The address is malformed, of an unsupported kind or format, or access to it is refused.
    """
    folder = open_folder(address, "source", settings)
    if isinstance(folder, BlobFolder):
        # A container has no folders, so only the suffix distinguishes a file from a folder.
        *folders, name = folder.folder.removesuffix("/").split("/")
        above = replace(folder, folder="".join(f"{each}/" for each in folders))
        if name.lower().endswith(SUFFIXES):
            return Source(folder.uri, above, name)
        if PurePosixPath(name).suffix and above.status(name) is not None:
            raise _unknown_format(folder.uri)
        return Source(folder.uri, folder)
    assert isinstance(folder, StoreFolder)
    if not folder.is_file():
        return Source(folder.uri, folder)
    parent, _, name = folder.uri.rpartition("/")
    if not name.lower().endswith(SUFFIXES):
        raise _unknown_format(folder.uri)
    return Source(folder.uri, replace(folder, uri=parent), name)


def _unknown_format(uri: str) -> InputError:
    return InputError(f"source: '{uri}' has an unknown format. Give a file of {', '.join(SUFFIXES)}.")


def _is_ignored(name: str) -> bool:
    parts = name.split("/")
    return any(part.startswith(("_", ".")) for part in parts) or parts[-1] == MANIFEST

"""Sources of annotations: folders and files that a labeling service exports to."""

from dataclasses import dataclass, replace
from datetime import datetime

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

    def exports(self) -> list[Export]:
        """Return the exports, the newest first.

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
            found = {name: status for name, status in self.folder.find().items() if _is_export(name)}
        exports = [Export(name, status.version, status.modification_time) for name, status in found.items()]
        return sorted(exports, key=lambda export: (export.modified_at, export.name), reverse=True)

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
        address: Absolute path or URI (`file`, `s3a`, `abfss`) of a folder or a file, or URL of an Azure Blob container
            and a folder or a blob in it.
        settings: Settings with the credentials of remote stores.

    Raises:
        InputError: The address is malformed, of an unsupported kind or format, or access to it is refused.
    """
    folder = open_folder(address, "source", settings)
    if isinstance(folder, BlobFolder):
        # A container has no folders, so only the suffix distinguishes a file from a folder.
        *folders, name = folder.folder.removesuffix("/").split("/")
        if not name.lower().endswith(SUFFIXES):
            return Source(folder.uri, folder)
        return Source(folder.uri, replace(folder, folder="".join(f"{each}/" for each in folders)), name)
    assert isinstance(folder, StoreFolder)
    if not folder.is_file():
        return Source(folder.uri, folder)
    parent, _, name = folder.uri.rpartition("/")
    if not name.lower().endswith(SUFFIXES):
        raise InputError(f"source: '{folder.uri}' has an unknown format. Give a file of {', '.join(SUFFIXES)}.")
    return Source(folder.uri, replace(folder, uri=parent), name)


def _is_export(name: str) -> bool:
    parts = name.split("/")
    return (
        name.lower().endswith(SUFFIXES)
        and not any(part.startswith(("_", ".")) for part in parts)
        and parts[-1] != MANIFEST
    )

"""An Azure Blob container as source: Azure Machine Learning puts exports into folders of folders there."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from components.import_labels.formats import SUFFIXES
from components.import_labels.sources.source import Export, Source
from components.settings import Settings
from components.storage import FileStatus
from components.storage.blob_folder import BlobFolder


@dataclass(frozen=True)
class AzureBlob(Source):
    """A folder in an Azure Blob container, or one blob.

    Attributes:
        uri: The container's URL and the folder or the blob in it.
        blobs: The folder, or the one that the blob is in.
        only: Name of the one blob; empty for all.
    """

    blobs: BlobFolder
    only: str = ""

    @classmethod
    def parse(cls, url: str, settings: Settings) -> Self:
        """Return the source that a URL names: a blob if it ends as files of answers do, else a folder.

        Raises:
            InputError: It names no container of an account that the settings give access to.
        """
        blobs = BlobFolder.parse(url, "source", settings)
        *folders, name = blobs.folder.removesuffix("/").split("/")
        if not name.lower().endswith(SUFFIXES):
            return cls(blobs.uri, blobs)
        parent = "".join(f"{each}/" for each in folders)
        return cls(blobs.uri, replace(blobs, folder=parent), name)

    def read(self, export: Export) -> bytes:  # noqa: D102 - the interface's
        return self.blobs.read(export.name)

    def _find(self) -> Mapping[str, FileStatus]:
        if not self.only:
            return self.blobs.find()
        status = self.blobs.status(self.only)
        if status is None:
            raise self._missing()
        return {self.only: status}

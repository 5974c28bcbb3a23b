"""An Azure Blob container as destination."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from components.export_for_labeling.destinations.destination import Destination
from components.settings import Settings
from components.storage.blob_folder import BlobFolder


@dataclass(frozen=True)
class AzureBlob(Destination):
    """A folder in an Azure Blob container. Blobs there are never replaced: people may be at work on them.

    Attributes:
        uri: The container's URL and the folder in it.
        blobs: The folder.
    """

    service: ClassVar[str] = "azure_blob"

    blobs: BlobFolder

    @classmethod
    def parse(cls, url: str, settings: Settings) -> Self:
        """Return the destination that a URL names.

        Raises:
            InputError: It names no container of an account that the settings give access to.
        """
        blobs = BlobFolder.parse(url, "destination", settings)
        return cls(blobs.uri, blobs)

    def check(self) -> None:  # noqa: D102 - the interface's
        # Asks for what any access that suffices can be asked: a signature may not reach the container itself.
        self.exists("manifest.jsonl")

    def exists(self, name: str) -> bool:  # noqa: D102
        return self.blobs.exists(name)

    def write(self, name: str, content: bytes, about: Mapping[str, str]) -> None:  # noqa: D102
        self.blobs.write_new(name, content, about)

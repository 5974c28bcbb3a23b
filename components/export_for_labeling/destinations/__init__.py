"""Where images to label go: one interface, and an adapter for each kind of place."""

from components.export_for_labeling.destinations.azure_blob import AzureBlob
from components.export_for_labeling.destinations.destination import Destination
from components.export_for_labeling.destinations.folder import Folder
from components.export_for_labeling.destinations.remote_folder import RemoteFolder
from components.settings import Settings
from components.storage import Access, uri
from components.storage.blob_folder import is_blob_url

__all__ = ["AzureBlob", "Destination", "Folder", "RemoteFolder", "open_destination"]


def open_destination(address: str, settings: Settings) -> Destination:
    """Return the destination that an address names. Nothing is asked of it yet.

    Args:
        address: Absolute path or URI (`file://`, `s3a://`, `abfss://`) of a folder, or URL of an Azure Blob container
            and a folder in it.
        settings: Hold the access to remote stores.

    Raises:
        InputError: The address is malformed, of a kind that is not supported, or there is no access to it.
    """
    if is_blob_url(address):
        return AzureBlob.parse(address, settings)
    folder = uri.normalize(address, "destination")
    return Folder(folder) if uri.is_local(folder) else RemoteFolder(folder, Access.of(settings))

"""Where images to label go: one interface, and an adapter for each kind of place."""

from components.errors import InputError
from components.export_for_labeling.destinations.azure_blob import AzureBlob
from components.export_for_labeling.destinations.destination import Destination
from components.export_for_labeling.destinations.folder import Folder
from components.settings import Settings
from components.storage import uri

__all__ = ["AzureBlob", "Destination", "Folder", "open_destination"]


def open_destination(address: str, settings: Settings) -> Destination:
    """Return the destination that an address names. Nothing is asked of it yet.

    Args:
        address: Absolute path or `file://` URI of a folder, or URL of an Azure Blob container and a folder in it.
        settings: Hold the access to Azure.

    Raises:
        InputError: The address is malformed, of a kind that is not supported, or there is no access to it.
    """
    scheme, separator, _ = ("file", ":/", address) if address.startswith("/") else address.partition(":/")
    if separator and scheme in ("http", "https"):
        return AzureBlob.parse(address, settings.azure_storage_connection_string)
    if separator and scheme != "file":
        raise InputError(
            f"destination: images can't be sent to '{scheme}' yet. Use a folder, file:///..., or an Azure Blob"
            " container, https://account.blob.core.windows.net/container."
        )
    return Folder(uri.normalize(address, "destination"))

"""Open the folder at an address: a path, a URI, or a URL of Azure Blob Storage."""

from components.settings import Settings
from components.storage import uri as uris
from components.storage.access import Access
from components.storage.blob_folder import BlobFolder
from components.storage.folder import Folder
from components.storage.store_folder import StoreFolder


def open_folder(address: str, field: str, settings: Settings) -> Folder:
    """Return the folder at an address, without contacting its store.

    Args:
        address: Absolute path or URI (`file`, `s3a`, `abfss`, `gs`) of a folder, or URL of an Azure Blob container and
            a folder in it.
        field: Parameter or setting that contains the address, for errors.
        settings: Settings with the access to remote stores.

    Raises:
        InputError: The address is malformed or of an unsupported kind, or the settings give no access to it.
    """
    if uris.is_http_url(address):
        return BlobFolder.parse(address, field, settings)
    return StoreFolder(field, uris.normalize(address, field), Access.of(settings))

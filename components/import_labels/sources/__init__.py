"""Where labelling services put their exports: one interface, and an adapter for each kind of place."""

from components.errors import InputError
from components.import_labels.formats import SUFFIXES
from components.import_labels.sources.azure_blob import AzureBlob
from components.import_labels.sources.folder import File, Folder
from components.import_labels.sources.source import Export, Source
from components.settings import Settings
from components.storage import files, uri
from components.storage.blob_folder import is_blob_url

__all__ = ["AzureBlob", "Export", "File", "Folder", "Source", "open_source"]


def open_source(address: str, settings: Settings) -> Source:
    """Return the source that an address names.

    Args:
        address: Absolute path or URI (`file://`, `s3a://`, `abfss://`) of a folder or a file, or URL of an Azure Blob
            container and a folder or a blob in it.
        settings: Hold the access to the container.

    Raises:
        InputError: The address is malformed, of a kind or a format that is not supported, or there is no access to it.
    """
    if is_blob_url(address):
        return AzureBlob.parse(address, settings)
    place = uri.normalize(address, "source")
    if files.is_folder(place) or not files.exists(place):
        return Folder(place)
    if not place.lower().endswith(SUFFIXES):
        raise InputError(f"source: '{place}' ends in none of {', '.join(SUFFIXES)}. Give a file of these formats.")
    return File(place)

"""Find the copies of an image that were exported for labeling."""

from components.errors import InputError, TransientError
from components.labeling.batches import copy_name
from components.preprocessing.header import image_format
from components.settings import Settings
from components.storage import uri
from components.storage.folder import Folder
from components.storage.open_folder import open_folder

# The path's own suffix, and the formats to which ingest converts others.
_PROBABLE_FORMATS = ("", "jpeg", "png")


class Copies:
    """The destination of exported batches. The lake does not record an earlier one.

    Args:
        settings: Settings with the destination and its credentials. If it is unusable, all copies are unknown.
    """

    def __init__(self, settings: Settings) -> None:
        destination = settings.labeling_destination
        self._folder: Folder | None = None
        self._error = "labeling_destination is not set"
        if destination:
            try:
                self._folder = open_folder(destination, "labeling_destination", settings)
            except InputError as error:
                self._error = str(error)

    def find(self, batch: str, path: str, content_sha256: str, picture: bytes | None) -> str:
        """Return the address of a copy, or a sentence why it is unknown.

        Args:
            batch: Name of the batch.
            path: Path of the image.
            content_sha256: Hash of the exported content.
            picture: The exported content. If None, copies of this name with each probable suffix are tried.
        """
        if self._folder is None:
            return f"unknown: {self._error}"
        formats = _PROBABLE_FORMATS if picture is None else (image_format(picture) or "",)
        names = list(dict.fromkeys(f"{batch}/{copy_name(content_sha256, path, each)}" for each in formats))
        try:
            found = next((name for name in names if self._folder.status(name) is not None), None)
        except (InputError, TransientError) as error:
            return f"unknown: {error}"
        return uri.join(self._folder.uri, found) if found else f"not found: {uri.join(self._folder.uri, names[0])}"

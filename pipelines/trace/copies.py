"""Find the copies of an image that were exported for labeling."""

from components.errors import InputError, TransientError
from components.labeling.batches import copy_name
from components.preprocessing.header import image_format
from components.settings import Settings
from components.storage import uri
from components.storage.folder import Folder
from components.storage.open_folder import open_folder


class Copies:
    """The destination of exported batches. The lake does not record an earlier one.

    Args:
        settings: Settings with the destination and its credentials.

    Raises:
        InputError: The address of the destination is malformed.
    """

    def __init__(self, settings: Settings) -> None:
        destination = settings.labeling_destination
        self._folder: Folder | None = (
            open_folder(destination, "labeling_destination", settings) if destination else None
        )

    def find(self, batch: str, path: str, content_sha256: str, picture: bytes | None) -> str:
        """Return the address of a copy, or a sentence why it is unknown.

        Args:
            batch: Name of the batch.
            path: Path of the image.
            content_sha256: Hash of the exported content.
            picture: The exported content; None if unknown, for which the name of the copy may have another suffix.
        """
        if self._folder is None:
            return "unknown: labeling_destination is not set"
        name = f"{batch}/{copy_name(content_sha256, path, image_format(picture) or '' if picture else '')}"
        try:
            exists = self._folder.status(name) is not None
        except (InputError, TransientError) as error:
            return f"unknown: {error}"
        address = uri.join(self._folder.uri, name)
        return address if exists else f"not found: {address}"

"""Refuse folders of which one lies in the other, where this would mix their files."""

from urllib.parse import unquote, urlsplit

from components.errors import InputError
from components.settings import Settings
from components.storage import uri

_LAKE, _LABELED, _UNLABELED = "lake", "labeled_source", "unlabeled_source"
_DESTINATION = "labeling_destination"
# Why two folders have to be apart. The second may contain the first, unless the pair is here in both orders.
_APART = {
    (_LABELED, _LAKE): "whose tables only the pipelines write",
    (_LAKE, _LABELED): "so that each run would list the lake's own files",
    (_UNLABELED, _LAKE): "whose tables only the pipelines write",
    (_LAKE, _UNLABELED): "so that each run would list the lake's own files",
    (_LABELED, _UNLABELED): "so that an image has a label or none, by which of them is ingested first",
    (_UNLABELED, _LABELED): "so that an image has a label or none, by which of them is ingested first",
    (_DESTINATION, _LABELED): "so that copies of images would be ingested as new ones",
    (_DESTINATION, _UNLABELED): "so that copies of images would be ingested as new ones",
    (_DESTINATION, _LAKE): "whose tables only the pipelines write",
}


def check_overlaps(settings: Settings, setting: str, folder: str, field: str) -> None:
    """Check that a folder overlaps none of the settings' folders.

    Args:
        settings: Settings with the other folders.
        setting: Setting that the folder stands for, e.g. `unlabeled_source`.
        folder: Folder URI, or URL of an Azure Blob container.
        field: Name of the parameter, for the error.

    Raises:
        InputError: The folder lies in another one or contains it, and this would mix their files.
    """
    given = _spelled(folder, field)
    for other in (_LAKE, _LABELED, _UNLABELED, _DESTINATION):
        value = str(getattr(settings, other))
        if other == setting or not value:
            continue
        existing = _spelled(value, other)
        for inner, outer, verb, pair in (
            (given, existing, "lies in", (setting, other)),
            (existing, given, "contains", (other, setting)),
        ):
            if pair in _APART and f"{inner}/".startswith(f"{outer}/"):
                raise InputError(f"{field}: '{folder}' {verb} {other} '{value}', {_APART[pair]}. Give another folder.")


def _spelled(folder: str, field: str) -> str:
    """Return the URI of a folder; for the URL of an Azure Blob container, that of its files."""
    if not uri.is_http_url(folder):
        return uri.normalize(folder, field)
    url = urlsplit(folder)
    container, _, path = unquote(url.path).strip("/").partition("/")
    return f"abfss://{container}@{url.netloc.replace('.blob.', '.dfs.', 1)}/{path}".rstrip("/")

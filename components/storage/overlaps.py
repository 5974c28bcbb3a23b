"""Refuse folders of which one lies in the other, where this would mix their files."""

from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from components.errors import InputError
from components.settings import Settings
from components.storage import uri

_LAKE, _LABELED, _UNLABELED = "lake", "labeled_source", "unlabeled_source"
_DESTINATION, _ANNOTATIONS = "labeling_destination", "annotations_source"
_SETTINGS = (_LAKE, _LABELED, _UNLABELED, _DESTINATION, _ANNOTATIONS)
# Not a setting, but a key of `ingest_options`.
ARCHIVE = "archive"
_IN_LAKE = "whose tables only the pipelines write"
_LAKE_IN = "so that each run would list the lake's own files"
_TWO_KINDS = "so that an image has a label or none, by which of them is ingested first"
_AGAIN = "so that copies of images would be ingested as new ones"
# Why two folders have to be apart. The second may contain the first, unless the pair is here in both orders.
_APART = {
    (_LABELED, _LAKE): _IN_LAKE,
    (_LAKE, _LABELED): _LAKE_IN,
    (_UNLABELED, _LAKE): _IN_LAKE,
    (_LAKE, _UNLABELED): _LAKE_IN,
    (_ANNOTATIONS, _LAKE): _IN_LAKE,
    (_LAKE, _ANNOTATIONS): _LAKE_IN,
    (_LABELED, _UNLABELED): _TWO_KINDS,
    (_UNLABELED, _LABELED): _TWO_KINDS,
    (_DESTINATION, _LABELED): _AGAIN,
    (_DESTINATION, _UNLABELED): _AGAIN,
    (_DESTINATION, _LAKE): _IN_LAKE,
    (ARCHIVE, _LABELED): _AGAIN,
    (ARCHIVE, _UNLABELED): _AGAIN,
    (ARCHIVE, _LAKE): _IN_LAKE,
}


def check_overlaps(settings: Settings, setting: str, folder: str, field: str) -> None:
    """Check that a folder overlaps none of the settings' folders.

    Args:
        settings: Settings with the other folders.
        setting: Setting that the folder stands for, e.g. `unlabeled_source`; or `ARCHIVE`.
        folder: Folder URI, or URL of an Azure Blob container.
        field: Name of the parameter, for the error.

    Raises:
        InputError: The folder lies in another one or contains it, and this would mix their files.
    """
    _check(setting, folder, field, folders_of(settings))


def folders_of(settings: Settings) -> dict[str, str]:
    """Return the folders that the settings name, by setting."""
    return {setting: str(getattr(settings, setting)) for setting in _SETTINGS}


def check_overlaps_of(fields: Mapping[str, str], folders: Mapping[str, str]) -> None:
    """Check that folders overlap no other folder.

    Args:
        fields: Name of the parameter, for the error, of each folder to check, by setting or `ARCHIVE`.
        folders: Folder URI or URL of an Azure Blob container by setting or `ARCHIVE`. Empty ones are left out.

    Raises:
        InputError: A folder lies in another one or contains it, and this would mix their files.
    """
    for setting, field in fields.items():
        if folder := folders.get(setting):
            _check(setting, folder, field, folders)


def _check(setting: str, folder: str, field: str, others: Mapping[str, str]) -> None:
    given = _spelled(folder, field)
    for other, value in others.items():
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
    """Return the URI of a folder without links; for the URL of an Azure Blob container, that of its files."""
    if uri.is_http_url(folder):
        url = urlsplit(folder)
        container, _, path = unquote(url.path).strip("/").partition("/")
        return f"abfss://{container}@{url.netloc.lower().replace('.blob.', '.dfs.', 1)}/{path}".rstrip("/")
    normalized = uri.normalize(folder, field)
    path_here = uri.local_path(normalized)
    # The root's slash is the only one at an end.
    return normalized if path_here is None else path_here.resolve().as_uri().rstrip("/")

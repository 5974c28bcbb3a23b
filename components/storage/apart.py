"""Folders of a run that must not contain each other."""

import re
from urllib.parse import unquote

from components.errors import InputError
from components.parameters.ingest import DELETE
from components.settings import Settings
from components.storage import uri as uris

_SAME, _INSIDE, _CONTAINS = "is also", "is inside", "contains"
# One storage account has two hosts: `dfs` for abfss://, `blob` for URLs.
_ABFSS = re.compile(r"abfss://([^@/]+)@([^./]+)\.dfs\.([^/]+)(.*)")
_BLOB = re.compile(r"https?://([^./]+)\.blob\.([^/]+)/([^/?#]+)([^?#]*).*", re.IGNORECASE)


def check_apart(lake: str = "", source: str = "", destination: str = "", archive: str = "") -> None:
    """Check the folders of a run. Empty ones are not checked.

    Args:
        lake: Root URI of the lake.
        source: Landing folder, or place of annotations.
        destination: Folder for images to label.
        archive: Folder for ingested files, or `delete`.

    Raises:
        InputError: The source and the lake contain each other; the destination is in the lake or the source; or the
            archive is in the lake or the source.
    """
    if source and lake and (relation := _relation(source, lake)):
        raise InputError(f"source: '{source}' {relation} the lake '{lake}'. Give a folder beside the lake.")
    for field, folder in (("destination", destination), ("archive", "" if archive == DELETE else archive)):
        if folder and lake and (relation := _relation(folder, lake)) in (_SAME, _INSIDE):
            raise InputError(f"{field}: '{folder}' {relation} the lake '{lake}'. Give a folder beside the lake.")
        if folder and source and (relation := _relation(folder, source)) in (_SAME, _INSIDE):
            raise InputError(
                f"{field}: '{folder}' {relation} the source '{source}', so its files would be ingested again. Give a"
                " folder outside of the source."
            )


def check_sources_apart(source: str, labeled: bool, settings: Settings) -> None:
    """Check that images with and without labels arrive in folders that do not contain each other.

    Otherwise the pipeline that runs first would decide whether an image has a label.

    Args:
        source: Landing folder of this run.
        labeled: Whether its folders name classes.
        settings: Settings with the other landing folder, which need not be set.

    Raises:
        InputError: One contains the other.
    """
    name = "unlabeled_source" if labeled else "labeled_source"
    other = getattr(settings, name)
    if other and (relation := _relation(source, other)):
        raise InputError(
            f"source: '{source}' {relation} the {name} '{other}'. Give images with and without labels separate folders."
        )


def _relation(folder: str, other: str) -> str:
    """Return how a folder relates to another one; empty if neither contains the other."""
    first, second = f"{_location(folder)}/", f"{_location(other)}/"
    if first == second:
        return _SAME
    if first.startswith(second):
        return _INSIDE
    return _CONTAINS if second.startswith(first) else ""


def _location(address: str) -> str:
    """Return one spelling of a folder, whatever its address."""
    if blob := _BLOB.fullmatch(address):
        account, host, container, folder = blob.groups()
        return _azure(account, host, container, unquote(folder))
    if uris.is_http_url(address):
        return address.rstrip("/")
    normalized = uris.normalize(address, "folder")
    if abfss := _ABFSS.fullmatch(normalized):
        container, account, host, folder = abfss.groups()
        return _azure(account, host, container, folder)
    path = uris.local_path(normalized)
    return normalized if path is None else f"file:{path.resolve()}".rstrip("/")


def _azure(account: str, host: str, container: str, folder: str) -> str:
    # Hosts ignore case, names of blobs do not.
    return f"azure:{account.lower()}.{host.lower()}/{container}/{folder.strip('/')}".rstrip("/")

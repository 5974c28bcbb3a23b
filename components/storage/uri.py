"""Storage URIs: one spelling for one place."""

import hashlib
import re
from pathlib import Path

from components.errors import InputError

SCHEMES = ("file", "s3a", "abfss")


def normalize(uri: str, field: str) -> str:
    """Return `uri` in its one spelling: a scheme, no doubled and no trailing slash, no `.` part. A path becomes `file://`.

    Args:
        uri: Folder, as a path of this machine or a URI.
        field: What the user calls it, for the error.

    Raises:
        InputError: It is empty, relative, of a scheme that the lake does not support, or without its bucket.
    """
    scheme, separator, rest = ("file", ":/", uri) if uri.startswith("/") else uri.partition(":/")
    if not separator:
        raise InputError(f"{field}: '{uri}' is neither an absolute path nor a URI. Write file:///absolute/path.")
    if scheme == "s3":
        scheme = "s3a"
    if scheme not in SCHEMES:
        raise InputError(f"{field}: scheme '{scheme}' of '{uri}' is not supported. Use one of {', '.join(SCHEMES)}.")
    parts = [part for part in rest.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise InputError(f"{field}: '{uri}' has a '..', so it is one of several spellings. Write it without.")
    if scheme != "file" and not parts:
        raise InputError(f"{field}: '{uri}' names no bucket or container. Write {scheme}://bucket/folder.")
    return f"{scheme}://" + ("/" if scheme == "file" else "") + "/".join(parts)


def is_local(uri: str) -> bool:
    """Tell whether a URI, normalised or as Spark spells it, is of this machine's file system."""
    return uri.startswith("file:/")


def local_path(uri: str) -> Path | None:
    """Return the folder on this machine that a normalised `file://` URI names, or None for a URI of a remote store."""
    return Path(uri.removeprefix("file://")) if is_local(uri) else None


def join(root: str, *names: str) -> str:
    """Return the URI of something below `root`."""
    # One slash only: of `file:///`, the others belong to the scheme.
    return "/".join((root.removesuffix("/"), *names))


def column_spelling(uri: str) -> str:
    """Return a file's URI as Spark's `path` column spells it: `file:/folder/a.jpg`, with one slash."""
    return re.sub(r"^file:/+", "file:/", uri)


def digest(uri: str) -> str:
    """Return 16 hexadecimal digits that stand for a normalised URI in a file name."""
    return hashlib.sha256(uri.encode()).hexdigest()[:16]

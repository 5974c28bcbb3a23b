"""Normalize, join and inspect storage URIs."""

import hashlib
import os
import re
from pathlib import Path

from components.errors import InputError

SCHEMES = ("file", "s3a", "abfss", "gs")


def normalize(uri: str, field: str) -> str:
    """Return the normalized spelling of a URI or local path. Idempotent.

    A normalized URI has a scheme, no repeated or trailing slashes, and no `.` segments. A local path becomes a `file://`
    URI.

    Args:
        uri: URI or absolute path.
        field: Name of the parameter or setting, for errors.

    Raises:
        InputError: The URI is empty, relative, of an unsupported scheme, has a `..` segment, or lacks its bucket.
    """
    try:
        # In a locale without UTF-8, Python stands for other letters by surrogates.
        uri = uri.encode("utf-8", "surrogateescape").decode()
    except UnicodeError:
        raise InputError(f"{field}: {uri!a} is not UTF-8. Rename the folder.") from None
    scheme, separator, rest = ("file", ":/", uri) if uri.startswith("/") else uri.partition(":/")
    if not separator:
        raise InputError(f"{field}: '{uri}' is neither an absolute path nor a URI. Write file:///absolute/path.")
    if scheme == "s3":
        scheme = "s3a"
    if scheme not in SCHEMES:
        raise InputError(f"{field}: scheme '{scheme}' of '{uri}' is not supported. Use one of {', '.join(SCHEMES)}.")
    segments = [segment for segment in rest.split("/") if segment not in ("", ".")]
    if ".." in segments:
        raise InputError(f"{field}: '{uri}' has a '..' segment. Write the URI without it.")
    if scheme != "file" and not segments:
        raise InputError(f"{field}: '{uri}' does not name a bucket or container. Write {scheme}://bucket/folder.")
    return f"{scheme}://" + ("/" if scheme == "file" else "") + "/".join(segments)


def is_http_url(address: str) -> bool:
    """Return whether an address is an HTTP URL, as of an Azure Blob container, and not a path or a folder's URI."""
    return address.startswith(("http:/", "https:/"))


def is_local(uri: str) -> bool:
    """Return whether a URI, normalized or as Spark spells it, is local."""
    return uri.startswith("file:/")


def local_path(uri: str) -> Path | None:
    """Return the path of a `file:` URI, normalized or as Spark spells it, or None for a remote URI."""
    if not is_local(uri):
        return None
    # Hadoop writes one slash where a URI has three. Names are UTF-8, whatever the locale.
    name = "/" + uri.removeprefix("file:").lstrip("/")
    return Path(os.fsdecode(name.encode("utf-8", "surrogateescape")))


def join(root: str, *names: str) -> str:
    """Return the URI of a file or folder below `root`."""
    # Only one slash, because the other slashes of `file:///` belong to the scheme.
    return "/".join((root.removesuffix("/"), *names))


def bucket_and_prefix(uri: str) -> tuple[str, str]:
    """Return the bucket of a folder in an object store, and what the names of its objects begin with.

    In Azure, the bucket is `container@account.dfs.core.windows.net`. The prefix of a whole bucket is empty.

    Args:
        uri: Normalized URI of the folder, e.g. `gs://bucket/folder`.
    """
    bucket, _, folder = uri.partition("://")[2].partition("/")
    return bucket, f"{folder}/" if folder else ""


def column_spelling(uri: str) -> str:
    """Return a URI as Spark's `path` column spells it, e.g. `file:/folder/a.jpg`."""
    return re.sub(r"^file:/+", "file:/", uri)


def relative(path: str, folder: str) -> str:
    """Return the path of a file below a folder.

    Args:
        path: The file, as Spark's `path` column spells it.
        folder: Normalized URI of the folder.
    """
    return path.removeprefix(column_spelling(folder).removesuffix("/") + "/")


def digest(uri: str) -> str:
    """Return a hash of a normalized URI, 16 hexadecimal digits, for file names."""
    return hashlib.sha256(uri.encode()).hexdigest()[:16]

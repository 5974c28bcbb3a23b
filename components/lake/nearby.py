"""Find the lake that a mistyped URI means, or that contains a URI."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress

from components.errors import InputError
from components.storage import uri
from components.storage.files import Files

# The folder that makes another one a lake.
_LOG = ("images", "_delta_log")
# Names of this length may differ by two typing errors, shorter ones by one, and the shortest by none.
_LONG_NAME = 8
_SHORT_NAME = 3


def nearby_lake(root: str, files: Files, others: Iterable[str] = ()) -> str:
    """Return the root URI of an existing lake that was probably meant; empty if there is none.

    Folders are searched on this machine only: a listing of a bucket may take hours.

    Args:
        root: Normalized root URI without a lake.
        files: Access to the stores.
        others: Root URIs of other lakes that the user may mean, e.g. of the settings.
    """
    similar = (other for each in others if each and _is_similar_path(root, other := uri.normalize(each, "lake")))
    return next((each for each in (*similar, *_similar_folders(root)) if is_lake(each, files)), "")


def is_lake(root: str, files: Files) -> bool:
    """Return whether a root URI has a lake, without Spark."""
    return files.exists(uri.join(root, *_LOG))


def enclosing_lake(root: str, files: Files) -> str:
    """Return the root URI of the lake that contains a folder; empty if there is none.

    Args:
        root: Normalized URI of the folder.
        files: Access to the stores.
    """
    scheme, _, path = root.partition("://")
    segments = path.split("/")
    for length in range(len(segments) - 1, 0, -1):
        parent = f"{scheme}://{'/'.join(segments[:length])}"
        # Credentials may be restricted to the folder.
        with suppress(InputError):
            if is_lake(parent, files):
                return parent
    return ""


def is_similar(name: str, other: str) -> bool:
    """Return whether a name may be another one with a typing error.

    Names that differ in their digits only, e.g. `lake1` and `lake2`, are different names.
    """
    if name == other or (_letters(name) == _letters(other) and name.casefold() != other.casefold()):
        return False
    length = min(len(name), len(other))
    allowed = 2 if length >= _LONG_NAME else 1 if length >= _SHORT_NAME else 0
    return _typing_errors(name.casefold(), other.casefold()) <= allowed


def _is_similar_path(root: str, other: str) -> bool:
    """Return whether exactly one segment differs, by a typing error."""
    first, second = root.split("/"), other.split("/")
    different = [pair for pair in zip(first, second, strict=False) if pair[0] != pair[1]]
    return len(first) == len(second) and len(different) == 1 and is_similar(*different[0])


def _similar_folders(root: str) -> Iterator[str]:
    """Yield the local folders whose URI differs from a lake's in the first segment that does not exist."""
    path = uri.local_path(root)
    if path is None:
        return
    missing = next((each for each in (*reversed(path.parents), path) if not each.exists()), path)
    try:
        with os.scandir(missing.parent) as entries:
            names = sorted(entry.name for entry in entries if is_similar(missing.name, entry.name) and entry.is_dir())
    except OSError:
        return
    for name in names:
        yield uri.normalize(str(missing.with_name(name) / path.relative_to(missing)), "lake")


def _letters(name: str) -> str:
    return "".join(character for character in name.casefold() if not character.isdecimal())


def _typing_errors(first: str, second: str) -> int:
    """Return the smallest number of inserted, deleted, replaced and swapped characters between two names."""
    before: list[int] = []
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        before, above, row = row, before, [i]
        for j, b in enumerate(second, 1):
            row.append(min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b)))
            if i > 1 and j > 1 and a == second[j - 2] and first[i - 2] == b:
                row[j] = min(row[j], above[j - 2] + 1)
    return row[-1]

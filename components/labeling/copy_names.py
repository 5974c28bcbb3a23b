"""Recognize exported copies by the addresses that labeling services give them."""

import re
from urllib.parse import parse_qs, unquote

# Batch, folder and name.
PARTS_OF_COPY = 3
DIGEST_DIGITS = 16

# Label Studio puts eight hexadecimal digits before the names of uploaded files.
_COPY_NAME = re.compile(rf"([0-9a-f]{{8}}-)?(?P<name>[0-9a-f]{{{DIGEST_DIGITS}}}-.+)")
# Label Studio's address of a file in a folder that it serves itself.
_LOCAL_FILES = "/data/local-files/"


def parts_of_copy(address: str) -> list[str]:
    """Return the batch, the folder and the name of a copy; fewer if the address has fewer.

    Args:
        address: Path, or URL with any prefix before the batch, and with a signature or not.
    """
    # The prefix before the batch depends on the container and the datastore.
    path, _, query = address.partition("?")
    if path.endswith(_LOCAL_FILES):
        path = parse_qs(query).get("d", [""])[0]
    return unquote(path).replace("\\", "/").split("/")[-PARTS_OF_COPY:]


def own_name(address: str) -> str:
    """Return the name that export gave a copy, without an upload's prefix; empty if it is not the name of a copy."""
    found = _COPY_NAME.fullmatch(parts_of_copy(address)[-1])
    return found["name"] if found else ""

"""Files with the initial weights of a backbone.

They are in any store, and identified by the SHA-256 of their content. Named weights, e.g. `imagenet`, are in the
lake at `weights/<backbone>-<name>.h5`, so that clusters without internet access can train.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

from components.errors import InputError
from components.storage import uri
from components.storage.files import Files

FOLDER = "weights"

_BLOCK_BYTES = 2**20


def lake_weights_uri(lake: str, backbone: str, name: str) -> str:
    """Return the URI of named weights in a lake. The file may not exist.

    Args:
        lake: Root URI of the lake, normalized.
        backbone: Name of the network, e.g. `xception`.
        name: Name of the weights, e.g. `imagenet`.
    """
    return uri.join(lake, FOLDER, f"{backbone}-{name}.h5")


def content_sha256(weights: str, files: Files) -> str:
    """Return the SHA-256 of a file of weights, which is read in blocks of 1 MiB.

    Args:
        weights: Normalized URI of the file.
        files: Access to the file.

    Raises:
        InputError: The file does not exist or can't be read.
    """
    return _stream(weights, lambda block: None, files)


def fetch(weights: str, sha256: str, to: Path, files: Files, report: Callable[[str], None] = lambda _: None) -> None:
    """Copy a file of weights to this machine, and verify its content.

    Args:
        weights: Normalized URI of the file.
        sha256: Expected SHA-256 of the content.
        to: Path of the copy.
        files: Access to the file of weights.
        report: Function that is called with the position after each block.

    Raises:
        InputError: The file does not exist, can't be read, or has another SHA-256.
    """
    with to.open("wb") as file:

        def write(block: bytes) -> None:
            file.write(block)
            report(f"weights, {file.tell() // _BLOCK_BYTES} MiB")

        found = _stream(weights, write, files)
    if found != sha256:
        raise InputError(
            f"weights: the content of '{weights}' changed after the training was submitted (SHA-256 {found[:16]}...,"
            f" not {sha256[:16]}...). Run the step again to train with the new file, or restore the old one."
        )


def _stream(weights: str, consume: Callable[[bytes], object], files: Files) -> str:
    """Pass the content of a file to a function block by block, and return its SHA-256."""
    digest = hashlib.sha256()
    try:
        # Some stores open a prefix as an empty file.
        if files.status(weights) is None:
            raise FileNotFoundError(weights)
        with files.open_file(weights) as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
                consume(block)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        file_name = uri.local_path(weights) or weights
        raise InputError(
            f"weights: file '{file_name}' not found. Give 'imagenet', 'none', or the absolute path or URI of a file of"
            " weights."
        ) from error
    except PermissionError as error:
        raise InputError(
            f"weights: no permission to read '{weights}'. Grant the pipeline's identity read access to it."
        ) from error
    return digest.hexdigest()

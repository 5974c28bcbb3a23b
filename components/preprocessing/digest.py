"""The digest that identifies a model's files. It is checked before TensorFlow loads them, and needs no TensorFlow."""

import hashlib
from pathlib import Path

# Folder of the SavedModel in a model logged by MLflow's TensorFlow flavor. The digest covers this folder only: MLflow
# rewrites files beside it.
SAVED_MODEL_FOLDER = "tf2model"

_BLOCK_BYTES = 2**20


def folder_digest(path: Path) -> str:
    """Return the SHA-256 of the names and contents of all files below a folder.

    Args:
        path: The folder.

    Raises:
        FileNotFoundError: The folder does not exist.
    """
    if not path.is_dir():
        raise FileNotFoundError(f"no folder '{path}'")
    digest = hashlib.sha256()
    files = {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
    for name in sorted(files):
        # The lengths make the boundary between a name and a content part of the digest.
        encoded = name.encode()
        digest.update(b"%d %d " % (len(encoded), files[name].stat().st_size) + encoded)
        with files[name].open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
    return digest.hexdigest()

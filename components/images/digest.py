"""The digest that a model is known by. Needs no TensorFlow, so it is checked before anything of the model is loaded."""

import hashlib
from pathlib import Path

# Where MLflow's TensorFlow flavour keeps the SavedModel, in the folder of a logged model. The digest is of this folder:
# MLflow itself rewrites files beside it.
SAVED_MODEL_FOLDER = "tf2model"

_BLOCK_BYTES = 2**20


def folder_digest(path: Path) -> str:
    """Return the SHA-256 over the names and contents of all files under a folder.

    Args:
        path: The folder.

    Raises:
        FileNotFoundError: There is no such folder.
    """
    if not path.is_dir():
        raise FileNotFoundError(f"no folder '{path}'")
    digest = hashlib.sha256()
    files = {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
    for name in sorted(files):
        # Lengths, so that a byte can't move between a name and a content unseen.
        encoded = name.encode()
        digest.update(b"%d %d " % (len(encoded), files[name].stat().st_size) + encoded)
        with files[name].open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
    return digest.hexdigest()

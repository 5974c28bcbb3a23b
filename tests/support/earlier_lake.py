"""The lake of release 0.1.0, unpacked into a folder for the current code."""

import tarfile
import time
from dataclasses import dataclass
from pathlib import Path

_ARCHIVE = Path(__file__).parent.parent / "fixtures" / "lake_of_0_1_0" / "data.tar.xz"
# The program `make_lake.py.txt` beside the archive created the lake in this folder.
_ORIGIN = "file:///data"


@dataclass(frozen=True)
class EarlierLake:
    """The folders of a copy of the lake. Its tables refer to files in `file:/data/landing/`, which do not exist.

    Attributes:
        folder: Folder that contains all folders.
    """

    folder: Path

    @property
    def lake(self) -> Path:
        """The lake."""
        return self.folder / "lake"

    @property
    def arriving(self) -> Path:
        """The landing folder of images without a class."""
        return self.folder / "landing" / "arriving"

    @property
    def annotations(self) -> Path:
        """Exports of the labeling service."""
        return self.folder / "answers"

    @property
    def exported(self) -> Path:
        """The batches that people label."""
        return self.folder / "to_label"


def unpack_lake_of_0_1_0(folder: Path) -> EarlierLake:
    """Unpack the lake into an empty folder, with notes and training sets that name this folder.

    Args:
        folder: An absolute path.
    """
    with tarfile.open(_ARCHIVE) as archive:
        for member in archive:
            # Delta deletes log entries that are older than 30 days.
            if member.name.startswith("lake/"):
                member.mtime = int(time.time())
            archive.extract(member, folder, filter="data")
    manifests = (folder / "lake" / "training_sets").glob("*/manifest.json")
    for file in [*(folder / "lake" / "_status").rglob("*.json"), *manifests]:
        file.write_text(file.read_text().replace(f"{_ORIGIN}/", f"file://{folder}/"))
    return EarlierLake(folder)

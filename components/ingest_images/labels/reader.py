"""Read classes by folders or by a pattern, as a plan states it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from components.ingest_images.labels.folders import FolderClass, explicit_class, naming_folders
from components.ingest_images.labels.pattern import LabelPattern

NO_FOLDER = "no folder between the source and the file names a class"
IN_DOUBT = "the folders of the source may not be classes"
OTHER_DEPTH = "the folder lies at another depth than the classes of the source"


@dataclass(frozen=True)
class FolderLabels:
    """Classes by folders; see `labels.folders`.

    Attributes:
        depth: Number of naming folders above an image that has a class; None for any number.
        in_doubt: Whether only folders that leave no doubt name classes.
    """

    depth: int | None = None
    in_doubt: bool = False

    def read(self, name: str) -> FolderClass | str:
        """Return the class of an image, or why it has none.

        Args:
            name: Path of the image below its source.
        """
        return _read(self, name.rpartition("/")[0])


# The files of a folder follow each other.
@lru_cache(maxsize=16)
def _read(labels: FolderLabels, folder: str) -> FolderClass | str:
    name = f"{folder}/"
    explicit = explicit_class(name)
    if explicit is not None:
        return explicit
    folders = naming_folders(name)
    if not folders:
        return NO_FOLDER
    if labels.in_doubt:
        return IN_DOUBT
    return FolderClass(folders[0]) if labels.depth in (None, len(folders)) else OTHER_DEPTH


Labels = FolderLabels | LabelPattern


def dump_labels(labels: Labels | None) -> dict[str, Any] | None:
    """Return labels as JSON; None for images without labels."""
    return None if labels is None else vars(labels)


def load_labels(values: Mapping[str, Any] | None) -> Labels | None:
    """Return the labels that `dump_labels` returned as JSON."""
    if values is None:
        return None
    return LabelPattern(**values) if "pattern" in values else FolderLabels(**values)

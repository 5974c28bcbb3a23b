"""The class that the folders of an image name, as people lay out labeled images.

A number and a name (`007.zebra`, as in Caltech-256) or a WordNet id (`n02391049`, as in ImageNet) leave no doubt,
wherever the folder is. Otherwise the topmost folder with a name of its own is the class, e.g. `cats` in
`train/cats/1.jpg` and in `2026/11/29/cats/1.jpg`.
"""

import re
from dataclasses import dataclass

from components.ingest_images.labels.dates import are_dates

_NUMBERED = re.compile(r"(\d{3})\.(.*)", re.ASCII | re.DOTALL)
_WORDNET_ID = re.compile(r"n\d{8}", re.ASCII)
# Folders that divide or hold data sets, compared without case.
_GENERAL = frozenset(
    (
        *("train", "training", "val", "valid", "validation", "test", "testing"),
        *("image", "images", "img", "data", "dataset", "dcim"),
    )
)
# What cameras make below DCIM, e.g. 100APPLE (by the standard DCF), and Android's folder.
_CAMERA_ROOT = "dcim"
_CAMERA = re.compile(r"[1-9]\d\d[A-Z0-9_]{5}|camera", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, order=True)
class FolderClass:
    """A class as a folder names it.

    Attributes:
        name: Name of the class; its number as text if the folder has a number only.
        number: Class id; None if the lake numbers the class by its name.
    """

    name: str
    number: int | None = None

    @property
    def has_name(self) -> bool:
        """Whether the class has a name, and not only a number."""
        return self.number is None or not self.name.isdecimal() or int(self.name) != self.number


def explicit_class(name: str) -> FolderClass | None:
    """Return the class of the nearest folder with a number and a name, or with a WordNet id; None without one.

    Args:
        name: Path of an image below its source.
    """
    for folder in reversed(name.split("/")[:-1]):
        if match := _NUMBERED.fullmatch(folder):
            return FolderClass(match[2].rstrip() or match[1], int(match[1]))
        if _WORDNET_ID.fullmatch(folder):
            return FolderClass(folder)
    return None


def naming_folders(name: str) -> list[str]:
    """Return the folders that may name a class, from the topmost: neither dates nor general folders such as `train`.

    Args:
        name: Path of an image below its source.
    """
    folders = name.split("/")[:-1]
    naming = []
    above = ""
    for folder, is_date in zip(folders, are_dates(folders), strict=True):
        plain = folder.strip().casefold()
        is_of_camera = above == _CAMERA_ROOT and _CAMERA.fullmatch(plain)
        if plain and not is_date and not is_of_camera and plain not in _GENERAL:
            naming.append(folder.rstrip())
        above = plain
    return naming

"""Give images the classes that their folders name, and add new classes to the lake."""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field

from components.ingest_images.labels.folders import FolderClass
from components.ingest_images.labels.numbers import Numbering, number_classes
from components.ingest_images.labels.reader import Labels
from components.lake import Lake
from components.lake.class_names import CLASS_NUMBERS, ClassIndex
from components.lake.tables import CLASSES, FOLDER
from components.spark.frames import frame
from components.storage import uri


@dataclass(frozen=True)
class ImageClasses:
    """The classes of images by their folders.

    Attributes:
        found: The class of each image by path, or why it has none.
        numbering: Numbers of the classes.
    """

    found: Mapping[str, FolderClass | str] = field(default_factory=dict)
    numbering: Numbering = field(default_factory=Numbering)

    def label(self, path: str) -> int | None:
        """Return the class id of an image; None if it has no class."""
        found = self.found.get(path)
        return self.numbering.labels.get(found) if isinstance(found, FolderClass) else None

    def name(self, path: str) -> str:
        """Return the class name of an image with a class, as its folder spells it."""
        found = self.found[path]
        assert isinstance(found, FolderClass)
        return found.name

    def reason(self, path: str) -> str:
        """Return why an image has no class."""
        found = self.found[path]
        return self.numbering.refused[found] if isinstance(found, FolderClass) else found


def classify_images(lake: Lake, source: str, labels: Labels, paths: Iterable[str]) -> ImageClasses:
    """Read the classes of images from their paths. New classes are in the lake when this returns. Idempotent.

    Args:
        lake: The lake.
        source: Normalized URI of the landing folder.
        labels: Reads a class from a path.
        paths: Paths of the images, those of one batch.
    """
    found = {path: labels.read(uri.relative(path, source)) for path in paths}
    classes = {each for each in found.values() if isinstance(each, FolderClass)}
    return ImageClasses(found, number_in_lake(lake, classes))


def number_in_lake(lake: Lake, classes: Set[FolderClass]) -> Numbering:
    """Number classes of folders, and add those that are new to the lake. Idempotent.

    Args:
        lake: The lake.
        classes: The classes.
    """
    if not classes:
        return Numbering()
    # Import numbers classes, too. Two runs could otherwise give one number to two classes.
    with lake.writer(CLASS_NUMBERS):
        numbering = number_classes(classes, ClassIndex(lake.classes().rows))
        if numbering.new:
            rows = [(label, name, None, FOLDER) for label, name in numbering.new.items()]
            lake.insert_new(CLASSES, frame(lake.spark, rows, CLASSES.columns))
    return numbering

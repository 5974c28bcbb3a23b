"""Read the class of an image from its path by a pattern that the user gives."""

import re
from dataclasses import dataclass

from components.ingest_images.labels.folders import FolderClass
from components.lake.tables import FOLDER_LABELS_END
from components.parameters.ingest import CLASS_ID, CLASS_NAME

NO_MATCH = "label_pattern does not find a class in the path"


@dataclass(frozen=True)
class LabelPattern:
    """Pattern of the class in the path of an image below its source.

    Attributes:
        pattern: Regular expression with the groups `label` (class id) or `name` (class name), or both.
    """

    pattern: str

    def read(self, name: str) -> FolderClass | str:
        """Return the class of an image, or why it has none.

        A number from `FOLDER_LABELS_END` on, e.g. a date with time, is not a class id.

        Args:
            name: Path of the image below its source.
        """
        match = re.search(self.pattern, name)
        groups = {} if match is None else match.groupdict()
        number, class_name = groups.get(CLASS_ID), (groups.get(CLASS_NAME) or "").rstrip()
        if CLASS_ID not in groups:
            return FolderClass(class_name) if class_name else NO_MATCH
        if number is None or not number.isdecimal() or int(number) >= FOLDER_LABELS_END:
            return NO_MATCH
        return FolderClass(class_name or number, int(number))

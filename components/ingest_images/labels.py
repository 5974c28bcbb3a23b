"""Read labels from folder names, e.g. `001.ak47/001_0001.jpg`."""

import re
from dataclasses import dataclass

from components.errors import InputError
from components.lake.tables import FOLDER_LABELS_END
from components.parameters.ingest import IngestOptions, check_label_pattern


@dataclass(frozen=True)
class LabelPattern:
    """Pattern of the class in the name of an image's folder.

    Attributes:
        pattern: Regular expression whose only group is the class id. The text after the match is the class name.
    """

    pattern: str = IngestOptions().label_pattern

    def __post_init__(self) -> None:
        try:
            check_label_pattern(self.pattern)
        except ValueError as error:
            raise InputError(f"label_pattern: {error}") from None

    def read(self, path: str) -> tuple[int, str] | None:
        """Return the class id and name in an image's folder name, or None.

        A number from `FOLDER_LABELS_END` on, e.g. a date with time, is not a class id.

        Args:
            path: Path or URI of the image.
        """
        folder = path.rsplit("/", 2)[-2] if path.count("/") > 1 else ""
        match = re.search(self.pattern, folder)
        if match is None or not (match[1] or "").isdecimal() or int(match[1]) >= FOLDER_LABELS_END:
            return None
        return int(match[1]), folder[match.end() :] or match[1]

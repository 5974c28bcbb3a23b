"""Labels from folder names, as in `001.ak47/001_0001.jpg`."""

import re
from dataclasses import dataclass

from components.errors import InputError

DEFAULT_LABEL_PATTERN = r"^(\d{3})\."
# The tables' labels are INT: a longer number, as of a date, is no class.
_LARGEST_LABEL = 2**31 - 1


@dataclass(frozen=True)
class LabelPattern:
    """Finds the class in the name of the folder that an image is in.

    Attributes:
        pattern: Regular expression whose first group is the class' number; what follows the match is the class' name.
    """

    pattern: str = DEFAULT_LABEL_PATTERN

    def __post_init__(self) -> None:
        try:
            groups = re.compile(self.pattern).groups
        except re.error as error:
            raise InputError(
                f"label_pattern: '{self.pattern}' is no regular expression ({error}). Correct it."
            ) from error
        if groups != 1:
            raise InputError(
                f"label_pattern: '{self.pattern}' has {groups} groups. Put parentheses around the class' number, once."
            )

    def read(self, path: str) -> tuple[int, str] | None:
        """Return the class' number and name for the image at `path`, or None if its folder names no class."""
        folder = path.rsplit("/", 2)[-2] if path.count("/") > 1 else ""
        match = re.search(self.pattern, folder)
        if match is None or not (match[1] or "").isdecimal() or int(match[1]) > _LARGEST_LABEL:
            return None
        return int(match[1]), folder[match.end() :] or match[1]

"""How names of classes compare, and which numbers new classes get."""

import unicodedata
from bisect import insort
from collections.abc import Container, Iterable, Iterator
from itertools import count

from components.lake.classes import ClassRow
from components.lake.tables import FOLDER_LABELS_END, NO_CLASS

# Name of the lock of who gives numbers to new classes.
CLASS_NUMBERS = "class_numbers"


def class_key(name: str) -> str:
    """Return the form in which names of classes are compared. Idempotent.

    Composed and decomposed letters, upper and lower case, and blanks at the end make no difference.
    """
    decomposed = unicodedata.normalize("NFD", name).casefold()
    return unicodedata.normalize("NFC", decomposed).rstrip()


def free_labels(taken: Container[int]) -> Iterator[int]:
    """Yield the class ids of new classes that have names only. No folder's number is among them.

    Hold the lock `CLASS_NUMBERS` from reading the taken ids until the new classes are in the lake.

    Args:
        taken: Class ids that exist.
    """
    return (label for label in count(FOLDER_LABELS_END) if label not in taken)


class ClassIndex:
    """The classes of a lake by number and by name.

    Args:
        classes: The classes.
    """

    def __init__(self, classes: Iterable[ClassRow]) -> None:
        self.names: dict[int, str | None] = {}
        self._replaced_by: dict[int, int] = {}
        self._labels: dict[str, list[int]] = {}
        for label, name, replaced_by, _ in classes:
            self.add(label, name)
            if replaced_by is not None:
                self._replaced_by[label] = replaced_by

    def add(self, label: int, name: str | None) -> None:
        """Add a class."""
        self.names[label] = name
        if name is not None:
            insort(self._labels.setdefault(class_key(name), []), label)

    def labels(self, name: str) -> list[int]:
        """Return the class ids of a name, merged classes included, in ascending order."""
        return self._labels.get(class_key(name), [])

    def effective(self, label: int) -> int:
        """Return the class id that counts after all merges; `NO_CLASS` for a retired class."""
        seen = {label}
        while (merged := self._replaced_by.get(label)) is not None and merged not in seen:
            seen.add(label := merged)
        return label

    def is_retired(self, label: int) -> bool:
        """Return whether images of a class have no label."""
        return self.effective(label) == NO_CLASS

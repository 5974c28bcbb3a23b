"""What import needs of a place."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from components.errors import InputError
from components.export_for_labeling.export import MANIFEST
from components.import_labels.formats import SUFFIXES
from components.storage import FileStatus


@dataclass(frozen=True)
class Export:
    """A file of answers.

    Attributes:
        name: Its path below the source.
        version: Another one when the file is written anew.
        modified_at: When it was written, in UTC.
    """

    name: str
    version: str
    modified_at: datetime


@dataclass(frozen=True)
class Source(ABC):
    """A place that a labelling service puts its exports into.

    Attributes:
        uri: The place.
    """

    uri: str

    def exports(self) -> list[Export]:
        """Return the files of answers that are there, the newest first.

        Files and folders whose names begin with `_` or `.` are what writers use until they are done. A manifest tells
        what the model said, not what people did.

        Raises:
            InputError: There is no such place, it can't be read, or it is a file of another format.
        """
        exports = [
            Export(name, status.version, status.modification_time)
            for name, status in self._find().items()
            if name.lower().endswith(SUFFIXES)
            and not any(part.startswith(("_", ".")) for part in name.split("/"))
            and name.rsplit("/", 1)[-1] != MANIFEST
        ]
        return sorted(exports, key=lambda each: (each.modified_at, each.name), reverse=True)

    @abstractmethod
    def read(self, export: Export) -> bytes:
        """Return a file's content.

        Raises:
            FileNotFoundError: It is no longer there.
            InputError: The place can't be read.
        """

    @abstractmethod
    def _find(self) -> Mapping[str, FileStatus]:
        """Return the files of the place, at any depth, by their names below it."""

    def _missing(self) -> InputError:
        return InputError(
            f"source: no file or folder '{self.uri}'. Check the URI, or give the task's identity the right to read it."
        )

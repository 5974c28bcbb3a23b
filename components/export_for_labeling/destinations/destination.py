"""What export needs of a place."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Destination(ABC):
    """A place that batches of images go to. It is sent to Spark's workers, so it holds no connection.

    Attributes:
        service: What `labeling_requests` calls places of this kind.
        uri: The place; what is written lies below it.
    """

    service: ClassVar[str]

    uri: str

    @abstractmethod
    def check(self) -> None:
        """Make sure, as far as can be told without writing, that the place can be written to.

        Raises:
            InputError: It can't.
        """

    @abstractmethod
    def exists(self, name: str) -> bool:
        """Tell whether there is a file.

        Args:
            name: Its path below the place.

        Raises:
            InputError: The place can't be read.
        """

    @abstractmethod
    def write(self, name: str, content: bytes, about: Mapping[str, str]) -> None:
        """Write a file, whole or not at all. Several threads may write at a time, and one file may be written again.

        Args:
            name: Its path below the place.
            content: Its bytes.
            about: What goes with it where a file can have that; the manifest says the same.

        Raises:
            InputError: The place can't be written to, or never replaces what it has and has something else there.
        """

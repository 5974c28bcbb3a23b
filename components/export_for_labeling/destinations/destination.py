"""What export needs of a place."""

from abc import ABC, abstractmethod
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
    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all, in place of what was there. Several threads may write at a time.

        Args:
            name: Its path below the place.
            content: Its bytes.

        Raises:
            InputError: The place can't be written to.
        """

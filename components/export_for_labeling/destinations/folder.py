"""A folder as destination."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from components.errors import InputError
from components.export_for_labeling.destinations.destination import Destination


@dataclass(frozen=True)
class Folder(Destination):
    """A folder that the driver and all of Spark's workers see; it is made with the first file.

    Attributes:
        uri: Its normalised `file://` URI.
    """

    service: ClassVar[str] = "folder"

    def check(self) -> None:  # noqa: D102 - the interface's
        with self._explained():
            found = next(each for each in (self._path, *self._path.parents) if each.exists())
            if not found.is_dir():
                raise InputError(f"destination: '{found}' is a file. Name a folder.")
            if not os.access(found, os.W_OK | os.X_OK):
                raise InputError(f"destination: '{found}' can't be written to. Grant that, or name another folder.")

    def exists(self, name: str) -> bool:  # noqa: D102
        with self._explained():
            return (self._path / name).exists()

    def write(self, name: str, content: bytes, about: Mapping[str, str]) -> None:  # noqa: D102
        target = self._path / name
        # Not a random name: what a run that was killed leaves here, the next one writes over.
        part = target.with_name(f"{target.name}.part")
        with self._explained():
            target.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(content)
            part.replace(target)

    @property
    def _path(self) -> Path:
        return Path(self.uri.removeprefix("file://"))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(
                f"destination: '{error.filename or self._path}': {error.strerror}. Mend that, then run this step again."
            ) from error

"""A folder in S3 or in Azure Data Lake Storage as destination."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from components.errors import InputError
from components.export_for_labeling.destinations.destination import Destination
from components.storage import Access, Store, open_store, uri


@dataclass(frozen=True)
class RemoteFolder(Destination):
    """A folder in a store that fsspec reaches.

    Attributes:
        uri: Its normalised `s3a://` or `abfss://` URI.
        access: How the store is reached, for Spark's workers too.
    """

    service: ClassVar[str] = "folder"

    access: Access

    def check(self) -> None:  # noqa: D102 - the interface's
        with self._explained():
            self._store.check(self.uri)

    def exists(self, name: str) -> bool:  # noqa: D102
        with self._explained():
            return self._store.exists(uri.join(self.uri, name))

    def write(self, name: str, content: bytes, about: Mapping[str, str]) -> None:  # noqa: D102
        with self._explained():
            self._store.write(uri.join(self.uri, name), content)

    @property
    def _store(self) -> Store:
        return open_store(self.uri, self.access)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except InputError as error:
            raise InputError(f"destination: {error}") from error

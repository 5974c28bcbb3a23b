"""A folder or a file as source."""

from collections.abc import Mapping
from dataclasses import dataclass

from components.import_labels.sources.source import Export, Source
from components.storage import FileStatus, files, uri


@dataclass(frozen=True)
class Folder(Source):
    """A folder of this machine, in S3 or in Azure Data Lake Storage, or one file there.

    Attributes:
        uri: Its normalised URI.
    """

    def read(self, export: Export) -> bytes:  # noqa: D102 - the interface's
        return files.read_bytes(uri.join(self.uri, export.name))

    def _find(self) -> Mapping[str, FileStatus]:
        if not files.exists(self.uri):
            raise self._missing()
        return files.find(self.uri)


@dataclass(frozen=True)
class File(Source):
    """One file, in the same places.

    Attributes:
        uri: Its normalised URI.
    """

    def read(self, export: Export) -> bytes:  # noqa: D102 - the interface's
        return files.read_bytes(self.uri)

    def _find(self) -> Mapping[str, FileStatus]:
        status = files.status(self.uri)
        if status is None:
            raise self._missing()
        return {self.uri.rsplit("/", 1)[-1]: status}

"""The kinds of stores behind one interface: folders of this machine, and what fsspec reaches over the network."""

import os
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISREG
from typing import Any, BinaryIO, Protocol

import fsspec
from azure.core.exceptions import AzureError
from botocore.exceptions import BotoCoreError

from components.errors import InputError
from components.storage.access import Access
from components.storage.uri import is_local


@dataclass(frozen=True)
class FileStatus:
    """A file's metadata.

    Attributes:
        length: Bytes.
        modification_time: When it was last written, in UTC.
        version: Another one when the file is written anew, as far as its store can tell.
    """

    length: int
    modification_time: datetime
    version: str


class Store(Protocol):
    """Files by URI. Those of a remote store raise an `InputError` where it can't be reached or refuses access."""

    def check(self, uri: str) -> None:
        """Make sure that the store can be asked and has the URI's bucket or container, or raise an InputError."""

    def status(self, uri: str) -> FileStatus | None:
        """Return a file's metadata, or None if there is no such file."""

    def exists(self, uri: str) -> bool:
        """Tell whether there is a file or folder."""

    def is_folder(self, uri: str) -> bool:
        """Tell whether there is a folder."""

    def list_names(self, uri: str) -> list[str]:
        """Return the names in a folder, sorted; none if it does not exist."""

    def find(self, uri: str) -> dict[str, FileStatus]:
        """Return the files below a folder, at any depth, by their names below it; none if it does not exist."""

    def read(self, uri: str) -> bytes:
        """Return a file's content, or raise a FileNotFoundError."""

    def open(self, uri: str) -> AbstractContextManager[BinaryIO]:
        """Open a file to read parts of it, or raise a FileNotFoundError."""

    def write(self, uri: str, content: bytes) -> None:
        """Write a file in place of what was there, whole or not at all."""

    def remove(self, uri: str) -> None:
        """Remove a file, if there is one."""

    def remove_folder(self, uri: str) -> None:
        """Remove a folder with all that is in it, if there is one."""


def open_store(uri: str, access: Access) -> Store:
    """Return the store that a URI is in. Nothing is asked of it yet.

    Args:
        uri: Any URI in it, normalised or as Spark spells it.
        access: How remote stores are reached.
    """
    if is_local(uri):
        return LocalStore()
    scheme = uri.partition(":")[0]
    # Azure's options name the account, which the URI does. Equal options are the same connections.
    named = fsspec.get_filesystem_class(scheme)._get_kwargs_from_urls(uri)
    return RemoteStore(fsspec.filesystem(scheme, **named, **access.options(scheme)))


class LocalStore:
    """The file system of this machine."""

    def check(self, uri: str) -> None:  # noqa: D102 - the interface's, here and below
        return

    def status(self, uri: str) -> FileStatus | None:  # noqa: D102
        try:
            found = _path(uri).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return _local_status(found)

    def exists(self, uri: str) -> bool:  # noqa: D102
        return _path(uri).exists()

    def is_folder(self, uri: str) -> bool:  # noqa: D102
        return _path(uri).is_dir()

    def list_names(self, uri: str) -> list[str]:  # noqa: D102
        path = _path(uri)
        return sorted(os.listdir(path)) if path.is_dir() else []

    def find(self, uri: str) -> dict[str, FileStatus]:  # noqa: D102
        folder = _path(uri)
        found = {}
        for path in folder.rglob("*"):
            with suppress(FileNotFoundError):
                status = path.stat()
                if S_ISREG(status.st_mode):
                    found[path.relative_to(folder).as_posix()] = _local_status(status)
        return found

    def read(self, uri: str) -> bytes:  # noqa: D102
        return _path(uri).read_bytes()

    def open(self, uri: str) -> AbstractContextManager[BinaryIO]:  # noqa: D102
        return _path(uri).open("rb")

    def write(self, uri: str, content: bytes) -> None:  # noqa: D102
        path = _path(uri)
        path.parent.mkdir(parents=True, exist_ok=True)
        # The process' own: two trainings may compute the same file at the same time.
        part = path.with_name(f".{path.name}.{socket.gethostname()}-{os.getpid()}.part")
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)

    def remove(self, uri: str) -> None:  # noqa: D102
        _path(uri).unlink(missing_ok=True)

    def remove_folder(self, uri: str) -> None:  # noqa: D102
        with suppress(FileNotFoundError):
            shutil.rmtree(_path(uri))


@dataclass(frozen=True)
class RemoteStore:
    """A store that takes an object whole or not at all.

    Attributes:
        filesystem: fsspec's view of it.
    """

    filesystem: Any

    def check(self, uri: str) -> None:  # noqa: D102
        bucket = self.filesystem._strip_protocol(uri).partition("/")[0]
        with _explained(uri), _bucket_found(uri):
            self.filesystem.info(bucket)

    def status(self, uri: str) -> FileStatus | None:  # noqa: D102
        found = self._info(uri)
        if found is None or found["type"] != "file":
            return None
        return _remote_status(found)

    def exists(self, uri: str) -> bool:  # noqa: D102
        return self._info(uri) is not None

    def is_folder(self, uri: str) -> bool:  # noqa: D102
        found = self._info(uri)
        return found is not None and found["type"] == "directory"

    def list_names(self, uri: str) -> list[str]:  # noqa: D102
        with _explained(uri), suppress(FileNotFoundError):
            names = (item["name"].rstrip("/") for item in self.filesystem.ls(uri, detail=True))
            own = self.filesystem._strip_protocol(uri).rstrip("/")
            return sorted(name.rsplit("/", 1)[-1] for name in names if name != own)
        return []

    def find(self, uri: str) -> dict[str, FileStatus]:  # noqa: D102
        with _explained(uri), suppress(FileNotFoundError):
            own = self.filesystem._strip_protocol(uri).rstrip("/") + "/"
            items = self.filesystem.find(uri, detail=True).items()
            return {name.removeprefix(own): _remote_status(item) for name, item in items if item["type"] == "file"}
        return {}

    def read(self, uri: str) -> bytes:  # noqa: D102
        with _explained(uri):
            return bytes(self.filesystem.cat_file(uri))

    @contextmanager
    def open(self, uri: str) -> Iterator[BinaryIO]:  # noqa: D102
        with _explained(uri), self.filesystem.open(uri, "rb") as file:
            yield file

    def write(self, uri: str, content: bytes) -> None:  # noqa: D102
        with _explained(uri), _bucket_found(uri):
            self.filesystem.pipe_file(uri, content)

    def remove(self, uri: str) -> None:  # noqa: D102
        with _explained(uri), suppress(FileNotFoundError):
            self.filesystem.rm_file(uri)

    def remove_folder(self, uri: str) -> None:  # noqa: D102
        with _explained(uri), suppress(FileNotFoundError):
            for name in self.filesystem.find(uri):
                self.filesystem.rm_file(name)

    def _info(self, uri: str) -> dict[str, Any] | None:
        with _explained(uri), suppress(FileNotFoundError):
            found: dict[str, Any] = self.filesystem.info(uri)
            return found
        return None


def _local_status(found: os.stat_result) -> FileStatus:
    return FileStatus(
        found.st_size, datetime.fromtimestamp(found.st_mtime, UTC), f"{found.st_mtime_ns}-{found.st_size}"
    )


def _remote_status(found: Mapping[str, Any]) -> FileStatus:
    # S3 and Azure spell the same things differently.
    time = found.get("LastModified") or found["last_modified"]
    return FileStatus(int(found["size"]), time, str(found.get("ETag") or found.get("etag") or time))


@contextmanager
def _explained(uri: str) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise InputError(
            f"'{uri}': access is refused. Check {_settings(uri)}, or grant what they name reading and writing there."
        ) from error
    except (BotoCoreError, AzureError) as error:
        raise InputError(
            f"'{uri}': the store can't be asked ({type(error).__name__}). Check {_settings(uri)} and the network."
        ) from error


@contextmanager
def _bucket_found(uri: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"'{uri}': there is no such bucket or container. Make it, or correct the URI.") from error


def _settings(uri: str) -> str:
    if uri.startswith("abfss:"):
        return "azure_account_key or the task's workload identity"
    return "s3_endpoint, s3_access_key and s3_secret_key of the settings"


def _path(uri: str) -> Path:
    # Hadoop's spelling has one slash where a URI has three.
    return Path("/" + uri.removeprefix("file:").lstrip("/"))

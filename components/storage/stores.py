"""Read and write files in local and remote stores through one interface."""

import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISREG
from tempfile import NamedTemporaryFile
from typing import Any, BinaryIO, Protocol, Self, cast

import fsspec
from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError
from botocore.exceptions import BotoCoreError

from components.atomic_write import atomic_create, atomic_write
from components.errors import InputError, TransientError
from components.storage.access import Access
from components.storage.google_errors import google_errors
from components.storage.uri import is_local, local_path
from components.transient import is_transient

# Reasons of refusals that concern a file, by code: Amazon's, then Azure's. Other codes concern the credentials.
DENIED, _ARCHIVED = "permission denied", "archived, so that it must be restored first"
_REFUSALS = {
    "403": DENIED,
    "AccessDenied": DENIED,
    "InvalidObjectState": _ARCHIVED,
    "AuthorizationFailure": DENIED,
    "AuthorizationPermissionMismatch": DENIED,
    "BlobArchived": _ARCHIVED,
}
# gcsfs raises an OSError without a number.
_GOOGLE_REFUSAL = "Forbidden: "

# Codes of Amazon's for a write of a new object that exists.
_S3_EXISTS = ("PreconditionFailed", "412")


@dataclass(frozen=True)
class FileStatus:
    """Metadata of a file.

    Attributes:
        length: Length in bytes.
        modification_time: Time of the last write, in UTC.
        version: Version that changes with each write, as far as the store detects it.
    """

    length: int
    modification_time: datetime
    version: str


class AccessRefusedError(InputError):
    """A store refuses access to one file. Access to other files may be granted.

    Attributes:
        reason: Cause in a few words.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type[Self], tuple[str, str]]:
        return type(self), (str(self), self.reason)


class Store(Protocol):
    """A store of files, which URIs identify.

    A remote store raises an `InputError` if it refuses access or if its settings are wrong: an `AccessRefusedError` if
    this may concern one file only. It raises a `TransientError` if it is unreachable or fails.
    """

    def check(self, uri: str) -> None:
        """Raise an error if the store is unreachable or lacks the URI's bucket."""

    def status(self, uri: str) -> FileStatus | None:
        """Return a file's metadata, or None if the file does not exist."""

    def exists(self, uri: str) -> bool:
        """Return whether a file or folder exists."""

    def is_folder(self, uri: str) -> bool:
        """Return whether the URI is a folder.

        In a remote store, every prefix that is not a file counts as a folder, even without objects.
        """

    def list_names(self, uri: str) -> list[str]:
        """Return the sorted names in a folder; empty if the folder does not exist."""

    def find(self, uri: str) -> dict[str, FileStatus]:
        """Return all files below a folder, by relative name.

        The result is empty if the folder does not exist.
        """

    def read(self, uri: str) -> bytes:
        """Return the content of a file, or raise a FileNotFoundError."""

    def open(self, uri: str) -> AbstractContextManager[BinaryIO]:
        """Open a file for reading, or raise a FileNotFoundError."""

    def open_ranges(self, uri: str) -> AbstractContextManager[BinaryIO]:
        """Open a file for reads of a few ranges, or raise a FileNotFoundError. Nothing is read ahead."""

    def write(self, uri: str, content: bytes) -> None:
        """Write or replace a file atomically."""

    def create(self, uri: str, content: bytes) -> None:
        """Write a new file atomically, or raise a FileExistsError if the file exists."""

    def open_replacement(self, uri: str) -> AbstractContextManager[BinaryIO]:
        """Open a file for writing, which replaces the URI at the end of a block without an error."""

    def copy_from(self, uri: str, path: Path) -> None:
        """Copy a local file to the URI atomically."""

    def remove(self, uri: str) -> None:
        """Remove a file if it exists."""

    def remove_folder(self, uri: str) -> None:
        """Remove a folder and its contents if it exists."""


def open_store(uri: str, access: Access) -> Store:
    """Return the store of a URI, without contacting it.

    Args:
        uri: Any URI in the store, normalized or as Spark spells it.
        access: Addresses and credentials of the remote stores.

    Raises:
        InputError: There are no credentials for Google's store. The other stores look for theirs in the first request.
    """
    if is_local(uri):
        return LocalStore()
    scheme = uri.partition(":")[0]
    options = access.options(scheme)
    make = _filesystem_class(scheme)
    # Azure's options include the account, which the URI names. fsspec reuses the connections of equal options.
    uri_options = make._get_kwargs_from_urls(uri)
    with _errors(uri):
        return RemoteStore(make(**{**uri_options, **options}))


def _filesystem_class(scheme: str) -> Any:
    """Return fsspec's class for a scheme."""
    if scheme != "gs":
        return fsspec.get_filesystem_class(scheme)
    # Whoever imported gcsfs first may have enabled its other class, which asks a service that emulators lack.
    from gcsfs.core import GCSFileSystem

    return GCSFileSystem


class LocalStore:
    """The file system of this machine."""

    def check(self, uri: str) -> None:  # noqa: D102 - described by Store, here and below
        return

    def status(self, uri: str) -> FileStatus | None:  # noqa: D102
        try:
            found = _path(uri).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return _local_status(found) if S_ISREG(found.st_mode) else None

    def exists(self, uri: str) -> bool:  # noqa: D102
        return _path(uri).exists()

    def is_folder(self, uri: str) -> bool:  # noqa: D102
        return _path(uri).is_dir()

    def list_names(self, uri: str) -> list[str]:  # noqa: D102
        path = _path(uri)
        return sorted(map(_name, os.listdir(path))) if path.is_dir() else []

    def find(self, uri: str) -> dict[str, FileStatus]:  # noqa: D102
        folder = _path(uri)
        found = {}
        for path in folder.rglob("*"):
            with suppress(FileNotFoundError):
                status = path.stat()
                if S_ISREG(status.st_mode):
                    found[_name(path.relative_to(folder).as_posix())] = _local_status(status)
        return found

    def read(self, uri: str) -> bytes:  # noqa: D102
        return _path(uri).read_bytes()

    def open(self, uri: str) -> AbstractContextManager[BinaryIO]:  # noqa: D102
        return _path(uri).open("rb")

    def open_ranges(self, uri: str) -> AbstractContextManager[BinaryIO]:  # noqa: D102
        return _path(uri).open("rb", buffering=0)

    def write(self, uri: str, content: bytes) -> None:  # noqa: D102
        with atomic_write(_path(uri)) as file:
            file.write(content)

    def create(self, uri: str, content: bytes) -> None:  # noqa: D102
        atomic_create(_path(uri), content)

    def open_replacement(self, uri: str) -> AbstractContextManager[BinaryIO]:  # noqa: D102
        return atomic_write(_path(uri))

    def copy_from(self, uri: str, path: Path) -> None:  # noqa: D102
        with path.open("rb") as source, atomic_write(_path(uri)) as file:
            shutil.copyfileobj(source, file)

    def remove(self, uri: str) -> None:  # noqa: D102
        _path(uri).unlink(missing_ok=True)

    def remove_folder(self, uri: str) -> None:  # noqa: D102
        with suppress(FileNotFoundError):
            shutil.rmtree(_path(uri))


@dataclass(frozen=True)
class RemoteStore:
    """A remote store, which writes objects atomically.

    Attributes:
        filesystem: fsspec file system of the store.
    """

    filesystem: Any

    def check(self, uri: str) -> None:  # noqa: D102
        bucket = self.filesystem._strip_protocol(uri).partition("/")[0]
        with _errors(uri), _bucket_errors(uri):
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
        if found is None:
            # Object stores have no empty folders, so only a missing bucket proves that a URI is wrong.
            self.check(uri)
        return found is None or bool(found["type"] == "directory")

    def list_names(self, uri: str) -> list[str]:  # noqa: D102
        with _errors(uri), suppress(FileNotFoundError):
            names = (item["name"].rstrip("/") for item in self.filesystem.ls(uri, detail=True))
            folder = self.filesystem._strip_protocol(uri).rstrip("/")
            return sorted(name.rsplit("/", 1)[-1] for name in names if name != folder)
        return []

    def find(self, uri: str) -> dict[str, FileStatus]:  # noqa: D102
        with _errors(uri), suppress(FileNotFoundError):
            prefix = self.filesystem._strip_protocol(uri).rstrip("/") + "/"
            items = self.filesystem.find(uri, detail=True).items()
            return {
                name.removeprefix(prefix): _remote_status(item)
                for name, item in items
                # Hadoop and consoles make empty objects that stand for folders. Their names end with a slash.
                if item["type"] == "file" and not name.endswith("/")
            }
        return {}

    def read(self, uri: str) -> bytes:  # noqa: D102
        with _errors(uri):
            return bytes(self.filesystem.cat_file(uri))

    @contextmanager
    def open(self, uri: str) -> Iterator[BinaryIO]:  # noqa: D102
        with _errors(uri), self.filesystem.open(uri, "rb") as file:
            yield file

    @contextmanager
    def open_ranges(self, uri: str) -> Iterator[BinaryIO]:  # noqa: D102
        # The default reads 5 MiB ahead, ten times a row group.
        with _errors(uri), self.filesystem.open(uri, "rb", cache_type="none") as file:
            yield file

    def write(self, uri: str, content: bytes) -> None:  # noqa: D102
        with _errors(uri), _bucket_errors(uri):
            self.filesystem.pipe_file(uri, content)

    def create(self, uri: str, content: bytes) -> None:  # noqa: D102
        with _errors(uri), _bucket_errors(uri):
            try:
                self.filesystem.pipe_file(uri, content, mode="create")
            except OSError as error:
                # Only Amazon's server names the condition, by which s3fs recognizes this case.
                if _s3_code(error) in _S3_EXISTS:
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), uri) from error
                raise

    @contextmanager
    def open_replacement(self, uri: str) -> Iterator[BinaryIO]:  # noqa: D102
        # An upload while the file is written would become an object even if the block raised an error.
        with NamedTemporaryFile() as file:
            yield cast(BinaryIO, file)
            file.flush()
            self.copy_from(uri, Path(file.name))

    def copy_from(self, uri: str, path: Path) -> None:  # noqa: D102
        with _errors(uri), _bucket_errors(uri):
            self.filesystem.put_file(str(path), uri)

    def remove(self, uri: str) -> None:  # noqa: D102
        with _errors(uri), suppress(FileNotFoundError):
            self.filesystem.rm_file(uri)

    def remove_folder(self, uri: str) -> None:  # noqa: D102
        with _errors(uri), suppress(FileNotFoundError):
            for name in self.filesystem.find(uri):
                self.filesystem.rm_file(name)

    def _info(self, uri: str) -> dict[str, Any] | None:
        with _errors(uri), suppress(FileNotFoundError):
            found: dict[str, Any] = self.filesystem.info(uri)
            return found
        return None


def _local_status(found: os.stat_result) -> FileStatus:
    return FileStatus(
        found.st_size, datetime.fromtimestamp(found.st_mtime, UTC), f"{found.st_mtime_ns}-{found.st_size}"
    )


def _remote_status(found: Mapping[str, Any]) -> FileStatus:
    # The stores name the same metadata differently. Google's `ctime` is the time of the content, its `generation` the
    # version of the content, while its `etag` changes with the metadata.
    time = found.get("LastModified") or found.get("last_modified") or found["ctime"]
    version = found.get("ETag") or found.get("generation") or found.get("etag") or time
    return FileStatus(int(found["size"]), time, str(version))


@contextmanager
def _errors(uri: str) -> Iterator[None]:
    """Convert a client's errors into `InputError` and `TransientError`."""
    try:
        yield
    except PermissionError as error:
        raise _refusal(uri, error) from error
    except (BotoCoreError, AzureError, OSError, *google_errors()) as error:
        # Google's client raises a plain TimeoutError if a request takes more than five minutes.
        if is_transient(error) or isinstance(error, TimeoutError):
            raise TransientError(
                f"'{uri}': the store does not answer ({type(error).__name__}). Check that it is up, the network, and"
                f" {_settings(uri)}."
            ) from error
        if str(error).startswith(_GOOGLE_REFUSAL):
            raise AccessRefusedError(_refusal_message(uri), DENIED) from error
        if isinstance(error, OSError):
            raise
        if isinstance(error, HttpResponseError) and _reason(error) is not None:
            raise _refusal(uri, error) from error
        raise InputError(
            f"'{uri}': the request failed ({type(error).__name__}). Check {_settings(uri)} and the network."
        ) from error


@contextmanager
def _bucket_errors(uri: str) -> Iterator[None]:
    """Convert a client's error about a missing bucket into an `InputError`."""
    try:
        yield
    except (FileNotFoundError, ResourceNotFoundError) as error:
        raise InputError(f"'{uri}': bucket or container not found. Create it, or correct the URI.") from error


def _refusal(uri: str, error: Exception) -> InputError:
    message = _refusal_message(uri)
    reason = _reason(error)
    return InputError(message) if reason is None else AccessRefusedError(message, reason)


def _refusal_message(uri: str) -> str:
    return f"'{uri}': access is refused. Check {_settings(uri)}, or grant these credentials read and write access."


def _reason(error: Exception) -> str | None:
    """Return why a store refuses access to a file, in a few words; None if it refuses the credentials."""
    return _REFUSALS.get(str(_s3_code(error) or getattr(error, "error_code", None)))


def _s3_code(error: Exception) -> str | None:
    """Return the code in the response of an S3 server; None for other errors."""
    response = getattr(error.__cause__, "response", None)
    return response.get("Error", {}).get("Code") if isinstance(response, dict) else None


def _settings(uri: str) -> str:
    if uri.startswith("abfss:"):
        return "azure_account_key or the task's workload identity"
    if uri.startswith("gs:"):
        return "gcs_endpoint or the application default credentials"
    return "s3_endpoint, s3_access_key and s3_secret_key of the settings"


def _path(uri: str) -> Path:
    path = local_path(uri)
    assert path is not None
    return path


def _name(name: str) -> str:
    """Return a name of the file system as URIs spell it: in UTF-8, whatever the locale."""
    return os.fsencode(name).decode("utf-8", "surrogateescape")

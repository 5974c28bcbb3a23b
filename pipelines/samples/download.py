"""Download of a large file of known length and checksum: taken up where it broke off, checked when whole."""

import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import requests
from rich.progress import Progress
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from components.errors import InputError

_ATTEMPTS = 4
_TIMEOUT_SECONDS = (10, 60)
_CHUNK_BYTES = 64 * 1024
_TEMPORARY_STATUSES = (429, 500, 502, 503, 504)
_GIGABYTE = 1e9
_CONTENT_RANGE = re.compile(r"bytes (?P<start>\d+)-\d+/(?P<size>\d+|\*)")


@dataclass(frozen=True)
class RemoteFile:
    """A file to download, and what it is known by wherever it is downloaded from.

    Attributes:
        url: HTTP or HTTPS address.
        size: Length in bytes.
        sha256: Checksum of the whole, in hexadecimal digits.
    """

    url: str
    size: int
    sha256: str


def download(file: RemoteFile, path: Path, progress: Progress, spare: int = 0) -> None:
    """Download a file, whole and checked or not at all; one that is there is checked only.

    What has come lies in `<path>.part` until the whole is checked, so that a later call takes it up;
    `<path>.part.version` says which version of the file on the server it is of.

    Args:
        file: Which file.
        path: Where to; its folder is there.
        progress: Shows how far it is.
        spare: Bytes that must be free on the disk besides the file's.

    Raises:
        InputError: The address gives no file or another one, the file that is there is another one, or the disk has no
            room.
        OSError: `path` can't be written to.
    """
    if path.exists():
        if _sha256(path) != file.sha256:
            raise InputError(f"to: '{path}' is not the file of SHA-256 {file.sha256}. Remove it, and run this again.")
        return
    _Download(file, path, progress).run(spare)


class _Download:
    def __init__(self, file: RemoteFile, path: Path, progress: Progress) -> None:
        self._file = file
        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._version = path.with_name(path.name + ".part.version")
        self._furthest = self._have
        self._progress = progress
        self._bar = progress.add_task(f"{path.name}: download", total=file.size, completed=self._have)

    @property
    def _have(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def run(self, spare: int) -> None:
        self._check_room(spare)
        try:
            while self._have < self._file.size:
                for attempt in Retrying(
                    retry=retry_if_exception(_is_temporary),
                    stop=stop_after_attempt(_ATTEMPTS),
                    wait=wait_exponential(multiplier=0.5),
                    reraise=True,
                ):
                    with attempt:
                        self._get_further()
        except requests.RequestException as error:
            raise InputError(
                f"url: can't download '{self._file.url}' ({_reason(error)}). Check the network, or give the address of"
                " a mirror; what has come is kept."
            ) from error
        self._finish()

    def _check_room(self, spare: int) -> None:
        free = shutil.disk_usage(self._path.parent).free
        needed = self._file.size - self._have + spare
        if free < needed:
            raise InputError(
                f"to: '{self._path.parent}' has {free / _GIGABYTE:,.1f} GB free, and {needed / _GIGABYTE:,.1f} GB are"
                " needed. Give a folder that has room."
            )

    def _get_further(self) -> None:
        """Read on; return when the file is further than it ever was, so that only what brings nothing is given up."""
        before = self._furthest
        try:
            self._receive()
        except requests.RequestException as error:
            if self._have <= before or not _is_temporary(error):
                raise
        finally:
            self._furthest = max(before, self._have)

    def _receive(self) -> None:
        have = self._have
        # A server that compressed would count other bytes than those that are kept.
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
            if version := self._version_of_part():
                headers["If-Range"] = version
        with requests.get(self._file.url, headers=headers, stream=True, timeout=_TIMEOUT_SECONDS) as response:
            response.raise_for_status()
            resumed = response.status_code == requests.codes.partial_content
            self._check_size(response)
            if resumed and not self._continues(response, have):
                self._part.unlink()
                raise requests.ConnectionError("the server went on with another file")
            with self._part.open("ab" if resumed else "wb") as file:
                if not resumed:
                    # Only now that the part is empty: a version beside the bytes of another one would be believed.
                    self._version.write_text(_version(response))
                for chunk in response.iter_content(_CHUNK_BYTES):
                    file.write(chunk)
                    self._progress.update(self._bar, completed=file.tell())
        if self._have < self._file.size:
            raise requests.ConnectionError("the connection ended before the file did")

    def _version_of_part(self) -> str:
        return self._version.read_text() if self._version.exists() else ""

    def _check_size(self, response: requests.Response) -> None:
        if response.status_code == requests.codes.partial_content:
            match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
            size = match["size"] if match else ""
        else:
            size = response.headers.get("Content-Length", "")
        if size.isdecimal() and int(size) != self._file.size:
            raise InputError(
                f"url: '{self._file.url}' is {int(size):,} bytes long, and the file that is wanted"
                f" {self._file.size:,}. Give the address of a true copy."
            )

    def _continues(self, response: requests.Response, have: int) -> bool:
        match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        return match is not None and int(match["start"]) == have and _version(response) == self._version_of_part()

    def _finish(self) -> None:
        sha256 = _sha256(self._part)
        self._version.unlink(missing_ok=True)
        if sha256 != self._file.sha256:
            self._part.unlink()
            raise InputError(
                f"url: '{self._file.url}' gave a file of SHA-256 {sha256} instead of {self._file.sha256}; it was"
                " removed. Run this again, or give the address of a true copy."
            )
        os.replace(self._part, self._path)


def _version(response: requests.Response) -> str:
    """Return what tells a file from what it was before, in a form that If-Range takes; nothing if the server is mum."""
    tag: str = response.headers.get("ETag", "")
    # A weak tag promises the same meaning, not the same bytes.
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")


def _is_temporary(error: BaseException) -> bool:
    if isinstance(error, requests.HTTPError):
        return error.response.status_code in _TEMPORARY_STATUSES
    return isinstance(error, requests.ConnectionError | requests.Timeout | requests.exceptions.ChunkedEncodingError)


def _reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.HTTPError):
        return f"{error.response.status_code} {error.response.reason}"
    # urllib3 wraps what went wrong in how often it was tried.
    return str(getattr(error.args[0], "reason", error)) if error.args else type(error).__name__


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""Download a large file of known size and checksum: resumable, and verified when complete."""

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
    """A file to download. Size and checksum identify it, whatever the mirror.

    Attributes:
        url: HTTP or HTTPS address.
        size: Size in bytes.
        sha256: Checksum in hexadecimal digits.
    """

    url: str
    size: int
    sha256: str


def download(file: RemoteFile, path: Path, progress: Progress, spare: int = 0) -> None:
    """Download a file and verify its checksum. If the file exists, only verify it.

    Until the file is complete, `<path>.part` has the received bytes, which a later call continues.
    `<path>.part.version` has the version of the file on the server that these bytes belong to.

    Args:
        file: The file.
        path: Path to write to, in an existing folder.
        progress: Display of the progress.
        spare: Bytes that must remain free on the disk.

    Raises:
        InputError: The address has no file or a different one, the existing file is a different one, or the disk has
            too little space.
        OSError: `path` can't be written to.
    """
    if path.exists():
        if _sha256(path) != file.sha256:
            raise InputError(f"to: the SHA-256 of '{path}' is not {file.sha256}. Remove the file, and run this again.")
        return
    _Download(file, path, progress).run(spare)


class _Download:
    def __init__(self, file: RemoteFile, path: Path, progress: Progress) -> None:
        self._file = file
        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._version = path.with_name(path.name + ".part.version")
        self._furthest = self._received
        self._progress = progress
        self._bar = progress.add_task(f"{path.name}: download", total=file.size, completed=self._received)

    @property
    def _received(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def run(self, spare: int) -> None:
        self._check_space(spare)
        try:
            while self._received < self._file.size:
                for attempt in Retrying(
                    retry=retry_if_exception(_is_temporary),
                    stop=stop_after_attempt(_ATTEMPTS),
                    wait=wait_exponential(multiplier=0.5),
                    reraise=True,
                ):
                    with attempt:
                        self._receive_more()
        except requests.RequestException as error:
            raise InputError(
                f"url: can't download '{self._file.url}' ({_reason(error)}). Check the network, or give the address of"
                " a mirror. A later call continues the download."
            ) from error
        self._finish()

    def _check_space(self, spare: int) -> None:
        free = shutil.disk_usage(self._path.parent).free
        needed = self._file.size - self._received + spare
        if free < needed:
            raise InputError(
                f"to: '{self._path.parent}' has {free / _GIGABYTE:,.1f} GB of free space, but the download needs"
                f" {needed / _GIGABYTE:,.1f} GB. Choose a folder with more space."
            )

    def _receive_more(self) -> None:
        """Receive bytes. Ignore a temporary error if the file has grown, so that only stalls count as attempts."""
        before = self._furthest
        try:
            self._receive()
        except requests.RequestException as error:
            if self._received <= before or not _is_temporary(error):
                raise
        finally:
            self._furthest = max(before, self._received)

    def _receive(self) -> None:
        received = self._received
        # In a compressed response, a range counts compressed bytes.
        headers = {"Accept-Encoding": "identity"}
        if received:
            headers["Range"] = f"bytes={received}-"
            if version := self._version_of_part():
                headers["If-Range"] = version
        with requests.get(self._file.url, headers=headers, stream=True, timeout=_TIMEOUT_SECONDS) as response:
            response.raise_for_status()
            resumed = response.status_code == requests.codes.partial_content
            self._check_size(response)
            if resumed and not self._continues(response, received):
                self._part.unlink()
                raise requests.ConnectionError("the server continued with a different file")
            with self._part.open("ab" if resumed else "wb") as file:
                if not resumed:
                    # After emptying the part: earlier, this version could describe bytes of another one.
                    self._version.write_text(_version(response))
                for chunk in response.iter_content(_CHUNK_BYTES):
                    file.write(chunk)
                    self._progress.update(self._bar, completed=file.tell())
        if self._received < self._file.size:
            raise requests.ConnectionError("the connection ended before the end of the file")

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
                f"url: '{self._file.url}' has {int(size):,} bytes instead of {self._file.size:,}. Give the address of"
                " an exact copy."
            )

    def _continues(self, response: requests.Response, received: int) -> bool:
        match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        return match is not None and int(match["start"]) == received and _version(response) == self._version_of_part()

    def _finish(self) -> None:
        sha256 = _sha256(self._part)
        self._version.unlink(missing_ok=True)
        if sha256 != self._file.sha256:
            self._part.unlink()
            raise InputError(
                f"url: the file from '{self._file.url}' has the SHA-256 {sha256} instead of {self._file.sha256}, and"
                " was removed. Run this again, or give the address of an exact copy."
            )
        os.replace(self._part, self._path)


def _version(response: requests.Response) -> str:
    """Return the version of a file in the form of the header If-Range; empty if the server sends none."""
    tag: str = response.headers.get("ETag", "")
    # A weak tag does not guarantee the same bytes.
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")


def _is_temporary(error: BaseException) -> bool:
    if isinstance(error, requests.HTTPError):
        return error.response.status_code in _TEMPORARY_STATUSES
    return isinstance(error, requests.ConnectionError | requests.Timeout | requests.exceptions.ChunkedEncodingError)


def _reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.HTTPError):
        return f"{error.response.status_code} {error.response.reason}"
    # urllib3 wraps the cause in an error about its retries.
    return str(getattr(error.args[0], "reason", error)) if error.args else type(error).__name__


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

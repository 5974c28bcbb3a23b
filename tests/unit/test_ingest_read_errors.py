"""Files that can't be read: each is refused with its reason, and only an outage ends the task."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from components.errors import InputError, TransientError
from components.ingest_images.limits import Limits
from components.ingest_images.read_errors import VANISHED, read_error
from components.ingest_images.worker import read_file
from components.storage.stores import AccessRefusedError, LocalStore

_NOBODY = 65534


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of a user who may not read every file, unlike root, and who runs the test."""
    with TemporaryDirectory() as name:
        me = os.geteuid()
        if me == 0:
            os.chown(name, _NOBODY, _NOBODY)
            os.seteuid(_NOBODY)
        try:
            yield Path(name)
        finally:
            os.seteuid(me)


def reason(path: Path, length: int = 1) -> str | None:
    return read_file({"path": f"file:{path}", "length": length}, LocalStore(), Limits(bytes=10)).reason


def test_file_without_read_permission_is_refused(folder: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        (folder / name).write_bytes(b"x")
    (folder / "a.jpg").chmod(0)

    assert [reason(folder / name) for name in ("a.jpg", "b.jpg")] == ["can't be read: permission denied", None]


def test_missing_file_has_vanished(tmp_path: Path) -> None:
    assert reason(tmp_path / "a.jpg") == VANISHED


def test_folder_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    assert reason(tmp_path) == "can't be read: is a directory"


def test_long_file_is_refused_by_its_listed_and_by_its_present_length(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(bytes(11))

    assert reason(path, length=11) == reason(path, length=1) == "more than 10 bytes"


def test_outage_of_the_store_ends_the_task() -> None:
    with pytest.raises(TransientError, match=r"^source: 's3a://b/a\.jpg' can't be read: .*Run this step again\.$"):
        read_error(ConnectionResetError("reset"), "s3a://b/a.jpg")


@pytest.mark.parametrize("error", [OSError(errno.EMFILE, "too many"), InputError("wrong key"), MemoryError()])
def test_error_that_concerns_more_than_a_file_is_not_its_reason(error: Exception) -> None:
    assert read_error(error, "s3a://b/a.jpg") is None


def test_refused_object_is_refused_with_the_stores_reason() -> None:
    refusal = AccessRefusedError("'s3a://b/a.jpg': access is refused.", "archived, so that it must be restored first")

    assert read_error(refusal, "s3a://b/a.jpg") == "can't be read: archived, so that it must be restored first"

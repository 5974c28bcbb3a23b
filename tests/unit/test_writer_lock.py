"""One writer at a time, and none that is dead."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from components.errors import InputError
from components.lake.lock import writer_lock
from components.lake.lock.file_lock import POLL_SECONDS

_NOBODY = 65534

HOLD = """
import sys
from components.lake.lock import writer_lock

with writer_lock(sys.argv[1], "images", 60):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def root(tmp_path: Path) -> str:
    return f"file://{tmp_path / 'lake'}"


@contextmanager
def holder(root: str) -> Iterator["subprocess.Popen[str]"]:
    """Let another process hold the lock `images` until its input ends."""
    command = [sys.executable, "-c", HOLD, root]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process


def write(root: str, name: str, timeout_seconds: float, lock: str = "") -> None:
    """Hold a lock for a moment."""
    with writer_lock(root, name, timeout_seconds, lock):
        pass


def test_a_second_writer_waits_until_the_first_one_is_done(root: str) -> None:
    order = []
    started = threading.Event()

    def write_second() -> None:
        started.set()
        with writer_lock(root, "images", 60):
            order.append("second")

    second = threading.Thread(target=write_second)
    with writer_lock(root, "images", 60):
        second.start()
        started.wait()
        # Time enough to come in, if it could.
        time.sleep(3 * POLL_SECONDS)
        order.append("first")
    second.join()

    assert order == ["first", "second"]


def test_who_waited_long_enough_is_told_who_holds_the_lock(root: str) -> None:
    with holder(root) as process, pytest.raises(TimeoutError) as error:
        write(root, "images", 0.5)

    told = (
        rf"'images' of the lake is held by process {process.pid} on \S+ since .* UTC for more than 0\.5 s\. Wait .*\."
    )
    assert re.fullmatch(told, str(error.value))
    write(root, "images", 0)


def test_a_holder_that_was_killed_holds_nothing(root: str) -> None:
    with holder(root) as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()

        write(root, "images", 0)


def test_a_writer_that_failed_holds_nothing(root: str) -> None:
    with pytest.raises(ZeroDivisionError), writer_lock(root, "images", 0):
        raise ZeroDivisionError

    write(root, "images", 0)


def test_other_tables_and_other_lakes_do_not_wait(root: str) -> None:
    with writer_lock(root, "images", 0):
        write(root, "labels", 0)
        write(f"{root}-2", "images", 0)
        with pytest.raises(TimeoutError):
            write(root, "images", 0)


@pytest.mark.parametrize("remote", ["s3a://bucket/lake", "abfss://container@account.dfs.core.windows.net/lake"])
def test_a_remote_lake_without_a_lock_is_told_what_to_set(remote: str) -> None:
    with pytest.raises(
        InputError, match=rf"^lock: not set, and writers of '{remote}' .* Set it to 'lease' on a cluster"
    ):
        write(remote, "images", 0)


def test_writers_of_a_remote_lake_wait_for_each_other_in_a_folder(tmp_path: Path) -> None:
    with writer_lock("s3a://bucket/lake", "images", 0, str(tmp_path)):
        with writer_lock("s3a://bucket/lake", "labels", 0, str(tmp_path)), pytest.raises(TimeoutError):
            write("s3a://bucket/lake", "images", 0, str(tmp_path))
        write("s3a://bucket/lake-2", "images", 0, str(tmp_path))


def test_a_lock_that_is_no_folder_is_refused(root: str) -> None:
    with pytest.raises(InputError, match=r"^lock: 'locks/here' is neither 'lease' nor an absolute folder"):
        write(root, "images", 0, "locks/here")


def test_a_lake_that_can_not_be_written_is_named() -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        me = os.geteuid()
        try:
            if me == 0:
                # To whom everything is allowed.
                os.seteuid(_NOBODY)
            with pytest.raises(InputError, match=rf"^lake: '{name}/_locks' can't be written \(Permission denied\)"):
                write(f"file://{folder}", "images", 1)
        finally:
            os.seteuid(me)
            folder.chmod(0o755)

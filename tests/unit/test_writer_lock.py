"""The writer lock on files: one writer at a time, and a dead writer does not block others."""

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
from components.lock import writer_lock
from components.lock.file_lock import POLL_SECONDS
from components.lock.waiting import WaitingNotice

_NOBODY = 65534

HOLD = """
import sys
from components.lock import writer_lock

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


def test_second_writer_waits_for_the_first(root: str) -> None:
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
        # Long enough for the second writer to acquire the lock, if it could.
        time.sleep(3 * POLL_SECONDS)
        order.append("first")
    second.join()

    assert order == ["first", "second"]


def test_lock_timeout_names_the_holder(root: str) -> None:
    with holder(root) as process, pytest.raises(TimeoutError) as error:
        write(root, "images", 0.5)

    message = rf"'images' of the lake is locked by process {process.pid} on \S+ since .* UTC; waited 0\.5 s\. Wait .*\."
    assert re.fullmatch(message, str(error.value))
    write(root, "images", 0)


def test_waiting_writer_prints_the_holder_and_the_timeout_at_once(
    root: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with holder(root) as process, pytest.raises(TimeoutError):
        write(root, "images", 3 * POLL_SECONDS)

    (line,) = capsys.readouterr().out.splitlines()
    assert re.fullmatch(
        r"progress: waiting for 'images' of the lake until [-\d]+ [:\d]+ UTC at most\."
        rf" Held by process {process.pid} on \S+ since .* UTC\.",
        line,
    )


def test_waiting_writer_repeats_its_message(capsys: pytest.CaptureFixture[str]) -> None:
    seldom, often = WaitingNotice("images", 60), WaitingNotice("labels", 60, repeat_seconds=0)

    for notice in (seldom, often):
        for _ in range(3):
            notice.show("Held by someone.")

    lines = capsys.readouterr().out.splitlines()
    assert [line.split("'")[1] for line in lines] == ["images", "labels", "labels", "labels"]


def test_writer_that_does_not_wait_prints_nothing(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    write(root, "images", 60)

    assert capsys.readouterr().out == ""


def test_killed_writer_releases_its_lock(root: str) -> None:
    with holder(root) as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()

        write(root, "images", 0)


def test_failed_writer_releases_its_lock(root: str) -> None:
    with pytest.raises(ZeroDivisionError), writer_lock(root, "images", 0):
        raise ZeroDivisionError

    write(root, "images", 0)


def test_writers_of_other_tables_and_lakes_do_not_wait(root: str) -> None:
    with writer_lock(root, "images", 0):
        write(root, "labels", 0)
        write(f"{root}-2", "images", 0)
        with pytest.raises(TimeoutError):
            write(root, "images", 0)


@pytest.mark.parametrize("remote", ["s3a://bucket/lake", "abfss://container@account.dfs.core.windows.net/lake"])
def test_remote_lake_without_a_lock_names_the_setting(remote: str) -> None:
    with pytest.raises(InputError, match=rf"^lock: not set, but the lake '{remote}' .* Set it to 'lease' on a cluster"):
        write(remote, "images", 0)


def test_writers_of_a_remote_lake_share_a_lock_folder(tmp_path: Path) -> None:
    with writer_lock("s3a://bucket/lake", "images", 0, str(tmp_path)):
        with writer_lock("s3a://bucket/lake", "labels", 0, str(tmp_path)), pytest.raises(TimeoutError):
            write("s3a://bucket/lake", "images", 0, str(tmp_path))
        write("s3a://bucket/lake-2", "images", 0, str(tmp_path))


def test_relative_lock_folder_is_refused(root: str) -> None:
    with pytest.raises(InputError, match=r"^lock: 'locks/here' is neither 'lease' nor an absolute folder"):
        write(root, "images", 0, "locks/here")


def test_read_only_lake_is_named() -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        user = os.geteuid()
        try:
            if user == 0:
                # Root may write to every folder.
                os.seteuid(_NOBODY)
            with pytest.raises(InputError, match=rf"^lake: '{name}/_locks' can't be written \(Permission denied\)"):
                write(f"file://{folder}", "images", 1)
        finally:
            os.seteuid(user)
            folder.chmod(0o755)

"""A child process contains what its function does: crashes, hangs and memory."""

import ctypes
import gc
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pytest

from components.child_process import ChildDied, ChildProcess

MEBIBYTE = 2**20


class UnpicklableError(Exception):
    def __init__(self, first: str, second: str) -> None:
        super().__init__(first + second)


def crash(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(60)


def fail(message: str) -> NoReturn:
    raise ValueError(message)


def fail_unpicklably(_: object) -> None:
    raise UnpicklableError("a", "b")


def allocate(mebibytes: int) -> int:
    return len(bytearray(mebibytes * MEBIBYTE))


def null_pointer(_: object) -> bytes:
    return ctypes.string_at(0)


# The commands of the child, each with one argument.
COMMANDS: dict[str, Callable[[Any], Any]] = {
    "return": lambda value: value,
    "length": len,
    "exit": os._exit,
    "crash": crash,
    "null pointer": null_pointer,
    "sleep": time.sleep,
    "allocate": allocate,
    "fail": fail,
    "fail unpicklably": fail_unpicklably,
    "pid": lambda _: os.getpid(),
    "handler": lambda number: signal.getsignal(number),
    "files": lambda _: sorted({os.readlink(f"/proc/self/fd/{name}") for name in existing_files()}),
}


def existing_files() -> list[str]:
    return [name for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")]


def run_command(command: tuple[str, Any]) -> Any:
    name, argument = command
    return COMMANDS[name](argument)


def start_commands() -> Callable[[tuple[str, Any]], Any]:
    return run_command


@pytest.fixture(params=[True, False], ids=["forked", "new interpreter"])
def child(request: pytest.FixtureRequest) -> Iterator[ChildProcess[tuple[str, Any], Any]]:
    with ChildProcess(start_commands, memory_bytes=128 * MEBIBYTE, fork=request.param) as process:
        yield process


@pytest.fixture
def forked() -> Iterator[ChildProcess[tuple[str, Any], Any]]:
    with ChildProcess(start_commands, memory_bytes=128 * MEBIBYTE, seconds=30) as process:
        yield process


def test_calls_run_in_one_child(child: ChildProcess[tuple[str, Any], Any]) -> None:
    pids = {child.call(("pid", None)) for _ in range(300)}

    assert pids == {child.pid}
    assert os.getpid() not in pids


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (("exit", 3), "ended with exit code 3"),
        (("crash", signal.SIGSEGV), "ended with signal 11 (SIGSEGV)"),
        (("null pointer", None), "ended with signal 11 (SIGSEGV)"),
        (("crash", signal.SIGKILL), "ended with signal 9 (SIGKILL)"),
        (("allocate", 200), "took too much memory"),
    ],
)
def test_death_is_reported_and_the_next_call_gets_a_new_child(
    forked: ChildProcess[tuple[str, Any], Any], command: tuple[str, Any], reason: str
) -> None:
    first = forked.call(("pid", None))

    with pytest.raises(ChildDied) as death:
        forked.call(command)

    assert death.value.reason == reason
    assert forked.pid is None
    assert forked.call(("pid", None)) != first


def test_memory_is_limited_beyond_what_the_start_took(child: ChildProcess[tuple[str, Any], Any]) -> None:
    assert child.call(("allocate", 100)) == 100 * MEBIBYTE
    with pytest.raises(ChildDied, match="took too much memory"):
        child.call(("allocate", 200))


def test_call_over_the_time_limit_is_killed(forked: ChildProcess[tuple[str, Any], Any]) -> None:
    forked.start()
    started = time.monotonic()

    with pytest.raises(ChildDied, match=r"^the child process took more than 0\.5 s$"):
        forked.call(("sleep", 60), seconds=0.5)

    assert time.monotonic() - started < 20
    assert forked.call(("return", 1)) == 1


def test_time_limit_of_a_single_call_replaces_the_childs() -> None:
    with ChildProcess(start_commands, seconds=0.01) as process:
        assert process.call(("sleep", 0.2), seconds=30) is None


def test_stopped_child_that_reads_nothing_is_killed(forked: ChildProcess[tuple[str, Any], Any]) -> None:
    forked.start()
    assert forked.pid is not None
    os.kill(forked.pid, signal.SIGSTOP)

    with pytest.raises(ChildDied, match="took more than"):
        forked.call(("length", bytes(8 * MEBIBYTE)), seconds=0.5)


def test_exception_is_raised_with_its_traceback_and_the_child_continues(
    child: ChildProcess[tuple[str, Any], Any],
) -> None:
    pid = child.call(("pid", None))

    with pytest.raises(ValueError, match="no good") as error:
        child.call(("fail", "no good"))

    assert error.value.args == ("no good",)
    assert "in fail" in error.value.__notes__[0]
    assert child.call(("pid", None)) == pid


def test_exception_that_does_not_pickle_becomes_a_runtime_error(child: ChildProcess[tuple[str, Any], Any]) -> None:
    with pytest.raises(RuntimeError, match="UnpicklableError: ab"):
        child.call(("fail unpicklably", None))


def test_large_arguments_and_results_pass_unchanged() -> None:
    content = os.urandom(MEBIBYTE) * 64

    with ChildProcess(start_commands) as process:
        assert process.call(("return", content)) == content


def test_call_that_dies_of_what_earlier_calls_left_behind_is_repeated_in_a_new_child() -> None:
    def start() -> Callable[[int], int]:
        kept: list[bytearray] = []

        def keep(mebibytes: int) -> int:
            kept.append(bytearray(mebibytes * MEBIBYTE))
            return len(kept)

        return keep

    # Each allocation is larger than glibc's largest block on the heap, 32 MiB, where freed memory would serve it.
    with ChildProcess(start, memory_bytes=140 * MEBIBYTE) as process:
        counts = [process.call(40) for _ in range(8)]

    # A child of a large process has room for one more: what its parent freed.
    in_one_child = counts.index(1, 1)
    assert in_one_child in (3, 4)
    assert counts == [number % in_one_child + 1 for number in range(8)]


def test_start_that_raises_or_dies_is_no_fault_of_the_argument() -> None:
    with pytest.raises(ValueError, match="no model"):
        ChildProcess[None, None](partial(fail, "no model")).call(None)
    with pytest.raises(RuntimeError, match=r"^the child process ended with exit code 7 at its start$"):
        ChildProcess[None, None](partial(os._exit, 7)).call(None)


def test_ended_child_leaves_no_process(child: ChildProcess[tuple[str, Any], Any]) -> None:
    pids = [child.call(("pid", None))]
    with pytest.raises(ChildDied):
        child.call(("exit", 1))
    pids.append(child.call(("pid", None)))
    child.close()

    assert not any(Path("/proc", str(pid)).exists() for pid in pids)


def test_forgotten_child_is_ended() -> None:
    process = ChildProcess(start_commands)
    pid = process.call(("pid", None))

    del process
    gc.collect()

    assert not Path("/proc", str(pid)).exists()


def test_child_ignores_interrupts_and_has_none_of_the_parents_handlers(
    child: ChildProcess[tuple[str, Any], Any],
) -> None:
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        pid = child.call(("pid", None))
        os.kill(pid, signal.SIGINT)

        assert child.call(("handler", signal.SIGTERM)) == signal.SIG_DFL
        assert child.call(("pid", None)) == pid
    finally:
        signal.signal(signal.SIGTERM, before)


def test_child_holds_no_connection_of_its_parent(child: ChildProcess[tuple[str, Any], Any], tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, (tmp_path / "open").open("w") as file, ChildProcess(start_commands) as sibling:
        sibling.start()
        inherited = {os.readlink(f"/proc/self/fd/{each.fileno()}") for each in (ours, theirs, file)}
        opened = set(child.call(("files", None)))

    assert not inherited & opened
    assert sum(name.startswith("socket:") for name in opened) == 1


@pytest.mark.parametrize("fork", [True, False])
def test_child_ends_when_its_parent_is_killed_even_during_a_call(fork: bool) -> None:
    program = f"""
import os, threading, time
from components.child_process import ChildProcess
from tests.unit.test_child_process import start_commands

process = ChildProcess(start_commands, fork={fork})
print(process.call(("pid", None)), flush=True)
process.call(("sleep", 50))
"""
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout as output:
        folder = Path("/proc", output.readline().strip())
        assert folder.exists()
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + 10
    while is_running(folder) and time.monotonic() < deadline:
        time.sleep(0.05)

    assert not is_running(folder)


def is_running(folder: Path) -> bool:
    """Return whether a process exists and is no zombie, e.g. of a container's init that does not reap."""
    try:
        return folder.joinpath("stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_child_runs_no_exit_handler_of_its_parent() -> None:
    program = """
import atexit
from components.child_process import ChildProcess
from tests.unit.test_child_process import start_commands

atexit.register(print, "the parent's")
print("before")
with ChildProcess(start_commands) as process:
    process.call(("return", 1))
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert result.stdout.splitlines() == ["before", "the parent's"]

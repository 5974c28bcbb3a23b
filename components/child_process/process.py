"""The parent's side of a child process."""

import contextlib
import os
import pickle
import signal
import socket
import sys
import weakref
from collections.abc import Callable
from time import monotonic
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from components.child_process.messages import receive_result, send_argument
from components.child_process.serve import OUT_OF_MEMORY, Start, fork_child, spawn_child

Argument = TypeVar("Argument")
Result = TypeVar("Result")

# Loading a large model takes a minute on a busy node.
_START_SECONDS = 600.0


class ChildDied(Exception):  # noqa: N818 - it describes the input, not a fault of this program
    """The child process died during a call, or was killed because of its time limit.

    Attributes:
        reason: What happened, as a predicate: "took more than 60 s", "took too much memory",
            "ended with signal 11 (SIGSEGV)" or "ended with exit code 3".
        timed_out: Whether the child exceeded its time limit.
    """

    def __init__(self, reason: str, timed_out: bool = False) -> None:
        super().__init__(f"the child process {reason}")
        self.reason = reason
        self.timed_out = timed_out


class _TimedOut(Exception):  # noqa: N818 - becomes ChildDied
    pass


class _Closed(Exception):  # noqa: N818 - becomes ChildDied
    pass


class ChildProcess(Generic[Argument, Result]):
    """A function in a child process, called with one argument at a time.

    The child starts at the first call, and anew after each death. It is killed when the thread that started it ends,
    e.g. because its process was killed. Instances are not thread-safe.
    """

    def __init__(
        self,
        start: Callable[[], Callable[[Argument], Result]],
        memory_bytes: int | None = None,
        seconds: float = 60,
        fork: bool = True,
    ) -> None:
        """Describe the child; nothing is started yet.

        Args:
            start: Runs in the child once and returns the function. It should also call the function once: threads and
                buffers of the first call then do not count against `memory_bytes`.
            memory_bytes: Address space that the child may use in addition to what it has after `start`; None for no
                limit.
            seconds: Time limit of a call, in seconds. It does not include `start`, which may take 10 minutes.
            fork: Whether the child is a fork of this process. Otherwise it is a new Python interpreter, and `start`
                has to be picklable.
        """
        self._start = start
        self._memory_bytes = memory_bytes
        self._seconds = seconds
        self._fork = fork
        self._child: _Child | None = None
        self._ended: weakref.finalize[[], Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Id of the running child; None before the first call and after a death."""
        return self._child.pid if self._child else None

    def start(self) -> None:
        """Start the child unless it runs. The first call does this as well.

        Raises:
            RuntimeError: The child died before its first call.
            Exception: `start` raised it.
        """
        if self._child is not None:
            return
        self._child = child = _Child(self._start, self._memory_bytes, self._fork)
        self._ended = weakref.finalize(self, child.end)
        try:
            succeeded, value = child.wait_for_start()
        except (_TimedOut, _Closed) as error:
            # Not ChildDied: no argument is to blame.
            raise RuntimeError(f"the child process {self._bury(error, _START_SECONDS)} at its start") from None
        except BaseException:
            self.close()
            raise
        if not succeeded:
            self.close()
            raise value

    def call(self, argument: Argument, seconds: float | None = None) -> Result:
        """Return the function's result for an argument.

        An earlier call may have used up the child's memory or damaged its heap. So if a child that has served other
        calls dies, the call is repeated once in a new child. A time-out is not repeated.

        Args:
            argument: A picklable argument.
            seconds: Time limit of this call, in seconds; None for the child's.

        Raises:
            ChildDied: The child died, or was killed because of the limit. The next call starts a new child.
            RuntimeError: The child died before its first call.
            Exception: The function raised it; the child continues.
        """
        limit = self._seconds if seconds is None else seconds
        has_served = self._child is not None and self._child.calls > 0
        try:
            return self._exchange(argument, limit)
        except ChildDied as death:
            if death.timed_out or not has_served:
                raise
        return self._exchange(argument, limit)

    def close(self) -> None:
        """End the child. A later call starts a new one."""
        if self._child is not None:
            self._bury(_Closed(), 0)

    def _exchange(self, argument: Argument, limit: float) -> Result:
        self.start()
        child = self._child
        assert child is not None
        child.calls += 1
        deadline = monotonic() + limit
        try:
            child.send(argument, deadline)
            succeeded, value = child.receive(deadline)
        except (_TimedOut, _Closed) as error:
            raise ChildDied(self._bury(error, limit), isinstance(error, _TimedOut)) from None
        except BaseException:
            # After e.g. Ctrl-C, the next call would get the result of this one.
            self.close()
            raise
        if not succeeded:
            raise value
        result: Result = value
        return result

    def _bury(self, error: Exception, limit: float) -> str:
        """Kill and reap the child, and return why it ended."""
        child, self._child = self._child, None
        assert child is not None
        assert self._ended is not None
        self._ended.detach()
        status = child.end()
        return f"took more than {limit:g} s" if isinstance(error, _TimedOut) else _reason(status)


class _Child:
    """A running child process and the socket to it.

    Attributes:
        pid: Its process id.
        calls: Number of calls that it was sent.
    """

    def __init__(self, start: Start, memory_bytes: int | None, fork: bool) -> None:
        self.calls = 0
        self._socket, theirs = socket.socketpair()
        self._file = os.memfd_create("arguments")
        with theirs:
            if fork:
                self.pid = fork_child(theirs, self._file, start, memory_bytes)
            else:
                self.pid = spawn_child(theirs, self._file)
        self._setup = None if fork else (start, memory_bytes, sys.path)

    def wait_for_start(self) -> tuple[bool, Any]:
        """Return whether `start` succeeded, and its exception if it did not."""
        deadline = monotonic() + _START_SECONDS
        if self._setup is not None:
            self.send(self._setup, deadline)
        return self.receive(deadline)

    def send(self, argument: Any, deadline: float) -> None:
        try:
            self._socket.settimeout(max(deadline - monotonic(), 0.001))
            send_argument(self._socket.sendall, self._file, argument)
        except TimeoutError:
            raise _TimedOut from None
        except OSError:
            raise _Closed from None

    def receive(self, deadline: float) -> tuple[bool, Any]:
        """Return whether the child succeeded, and its result or its exception."""

        def read(buffer: memoryview) -> int:
            self._socket.settimeout(max(deadline - monotonic(), 0.001))
            return self._socket.recv_into(buffer)

        try:
            message = receive_result(read)
        except TimeoutError:
            raise _TimedOut from None
        except OSError:
            raise _Closed from None
        if message is None:
            raise _Closed
        outcome: tuple[bool, Any] = pickle.loads(message)  # noqa: S301 - the child runs this program's code
        return outcome

    def end(self) -> int:
        """Kill and reap the child, and return its wait status. The status of a child that has ended stays."""
        self._socket.close()
        os.close(self._file)
        # Another reaper, e.g. an ignored SIGCHLD, takes the status along.
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.pid, signal.SIGKILL)
            return os.waitpid(self.pid, 0)[1]
        return signal.SIGKILL


def _reason(status: int) -> str:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return f"ended with signal {number} ({signal.Signals(number).name})"
    code = os.WEXITSTATUS(status)
    return "took too much memory" if code == OUT_OF_MEMORY else f"ended with exit code {code}"

"""The child's side of a child process: set itself up, then answer calls until its parent ends."""

import contextlib
import ctypes
import errno
import gc
import os
import pickle
import resource
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from components.child_process.messages import receive_argument, send_result

Start = Callable[[], Callable[[Any], Any]]

OUT_OF_MEMORY = errno.ENOMEM

_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
_PR_SET_PDEATHSIG = 1
_PROGRAM = f"from {__name__} import serve_spawned; serve_spawned(%d, %d, %d)"


def fork_child(connection: socket.socket, file: int, start: Start, memory_bytes: int | None) -> int:
    """Fork this process, and return the id of the child, which answers calls."""
    parent = os.getpid()
    # The child would print again what the parent has not written yet.
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()
    with _signals_blocked():
        pid = os.fork()
        if pid == 0:
            try:
                end_with_parent(parent)
                # A collection in the child would run finalizers of the parent's objects, e.g. delete its temporary
                # folders.
                gc.freeze()
                _discard_inherited_files({connection.fileno(), file})
                _serve(connection, file, start, memory_bytes)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
    return pid


def spawn_child(connection: socket.socket, file: int) -> int:
    """Start a new interpreter, and return its id. Its first message is the setup: `start`, limit and `sys.path`."""
    os.set_inheritable(connection.fileno(), True)
    os.set_inheritable(file, True)
    program = _PROGRAM % (connection.fileno(), file, os.getpid())
    with _signals_blocked():
        return os.posix_spawn(sys.executable, [sys.executable, "-c", program], dict(os.environ))


def end_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the parent's thread that started it ends.

    Args:
        parent: Id of the parent. If the parent has already ended, this process ends at once.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def serve_spawned(descriptor: int, file: int, parent: int) -> NoReturn:
    """Serve calls in a new interpreter. `ChildProcess` starts it."""
    try:
        end_with_parent(parent)
        connection = socket.socket(fileno=descriptor)
        start, memory_bytes, sys.path[:] = receive_argument(connection.recv_into, file)
        _serve(connection, file, start, memory_bytes)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


@contextlib.contextmanager
def _signals_blocked() -> Iterator[None]:
    """Block signals until the child has its own handlers: the parent's would run the parent's code in the child."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _discard_inherited_files(used: set[int]) -> None:
    """Replace inherited files by /dev/null, except the output streams and those used.

    The child would otherwise hold connections of the parent open. Their numbers stay taken, so the parent's objects,
    which the child also has, can neither close nor write a new file of the child.
    """
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        if descriptor not in {1, 2, null, *used}:
            with contextlib.suppress(OSError):  # the descriptor of the listing itself is closed
                os.fstat(descriptor)
                os.dup2(null, descriptor, inheritable=False)


def _serve(connection: socket.socket, file: int, start: Start, memory_bytes: int | None) -> None:
    """Call the function for each message until the parent closes the connection."""
    # Ctrl-C reaches all processes of the terminal; the parent ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    connection.setblocking(True)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # When the node runs out of memory, the kernel kills this process before its parent.
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")
    try:
        function = start()
    except Exception as error:
        _send(connection, False, _picklable(error))
        return
    _limit_memory(memory_bytes)
    _send(connection, True, None)
    while True:
        try:
            argument = receive_argument(connection.recv_into, file)
            try:
                succeeded, value = True, function(argument)
            except MemoryError:
                raise
            except Exception as error:
                succeeded, value = False, _picklable(error)
            _send(connection, succeeded, value)
            del argument, value
        except EOFError:
            return
        except MemoryError:
            # What the function has left behind is unknown, so a new child takes the next call.
            os._exit(OUT_OF_MEMORY)


def _send(connection: socket.socket, succeeded: bool, value: Any) -> None:
    message = pickle.dumps((succeeded, value), pickle.HIGHEST_PROTOCOL)
    send_result(connection.sendall, message)


def _picklable(error: Exception) -> Exception:
    """Return an exception that the parent can load, with the child's traceback as a note."""
    error.add_note("".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - its own dump
    except Exception:
        return RuntimeError("".join(traceback.format_exception_only(error)))
    return error


def _limit_memory(memory_bytes: int | None) -> None:
    if memory_bytes is None:
        return
    # TensorFlow reserves gigabytes of address space that it never uses, so an absolute limit would mean nothing.
    with open("/proc/self/statm") as statistics:
        pages = int(statistics.read().split()[0])
    limit = pages * resource.getpagesize() + memory_bytes
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

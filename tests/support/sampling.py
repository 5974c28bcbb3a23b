"""Samples that are taken while a block runs, and the memory and processor time of processes."""

import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def sampled(sample: Callable[[], None], seconds: float) -> Iterator[None]:
    """Call a function in another thread at intervals while the block runs, at least once.

    Args:
        sample: The function.
        seconds: Time between the end of a call and the next one.
    """
    over = threading.Event()

    def repeat() -> None:
        while True:
            sample()
            if over.wait(seconds):
                return

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def process_memory(pid: int, kind: str) -> int:
    """Return the memory of a process in bytes; 0 if it has ended.

    Args:
        pid: The process.
        kind: `Rss`, or `Pss`: in a sum over processes, shared pages count once.
    """
    with suppress(OSError):
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        if found := re.search(rf"^{kind}: +(\d+) kB", rollup, re.MULTILINE):
            return int(found[1]) * 1024
    return 0


def process_tree(pid: int) -> Iterator[int]:
    """Yield a process and all processes below it. The kernel adds an ended process to its parent."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        # A thread or a process may end in between.
        with suppress(OSError):
            for child in children.read_text().split():
                yield from process_tree(int(child))


def processor_seconds(pid: int) -> float:
    """Return the processor time of a process, its descendants, and those of them that have ended, in seconds.

    Args:
        pid: The process.
    """
    ticks = 0
    for each in process_tree(pid):
        with suppress(OSError):
            # The name of a process is in parentheses, and may contain spaces.
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            # User and system time, of itself and of children that it has waited for.
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")

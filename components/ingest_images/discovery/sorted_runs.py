"""Sort the names in a folder within bounded memory."""

import heapq
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from typing import BinaryIO

# About 15 MB of names.
_RUN = 100_000


def sort_names(names: Iterable[bytes]) -> Iterator[bytes]:
    """Yield names in byte order. Only 100,000 of them are in memory; the others are in temporary files.

    Args:
        names: Names without NUL bytes. They are read before this function returns.
    """
    remaining = iter(names)
    first = sorted(islice(remaining, _RUN))
    if len(first) < _RUN:
        return iter(first)
    return _merge(first, remaining)


def _merge(first: list[bytes], remaining: Iterator[bytes]) -> Iterator[bytes]:
    runs = [_spill(first)]
    while run := sorted(islice(remaining, _RUN)):
        runs.append(_spill(run))
    return _read_runs(runs)


def _spill(names: list[bytes]) -> BinaryIO:
    file = tempfile.TemporaryFile()  # noqa: SIM115 - `_read_runs` closes it
    file.writelines(name + b"\0" for name in names)
    return file


def _read_runs(runs: list[BinaryIO]) -> Iterator[bytes]:
    with ExitStack() as stack:
        yield from heapq.merge(*(_read(stack.enter_context(file)) for file in runs))


def _read(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    rest = b""
    while block := file.read(2**16):
        *names, rest = (rest + block).split(b"\0")
        yield from names

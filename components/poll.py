"""Repeat a step until SIGTERM, for continuous mode."""

import re
import signal
from collections.abc import Callable
from threading import Event
from time import monotonic

from components.errors import InputError

_UNITS = {"millisecond": 0.001, "second": 1, "minute": 60, "hour": 3600, "day": 86400}
_INTERVAL = re.compile(rf"\s*0*([1-9][0-9]{{0,8}})\s*({'|'.join(_UNITS)})s?\s*", re.IGNORECASE)


def check_interval(interval: str) -> float:
    """Return the seconds of an interval; 0 for an empty one, which means a single run.

    Raises:
        InputError: The text is not an interval.
    """
    if not interval.strip():
        return 0
    match = _INTERVAL.fullmatch(interval)
    if match is None:
        raise InputError(
            f"continuous_interval: '{interval}' is not an interval. Write a whole number and milliseconds, seconds,"
            " minutes, hours or days, e.g. 1 minute, or leave it empty for a single run."
        )
    return int(match[1]) * _UNITS[match[2].lower()]


def repeat_until_sigterm(step: Callable[[Event], None], interval: str) -> None:
    """Run a step once, or repeat it until SIGTERM.

    Args:
        step: Does what there is to do. The event that it gets is set at SIGTERM: a step of several batches ends after
            the batch in hand.
        interval: Time between the starts of two steps, e.g. `1 minute`. If empty, the step runs once.

    Raises:
        InputError: The interval is malformed.
    """
    seconds = check_interval(interval)
    ending = Event()
    if not seconds:
        step(ending)
        return
    previous = signal.signal(signal.SIGTERM, lambda *_: ending.set())
    try:
        while not ending.is_set():
            started = monotonic()
            step(ending)
            ending.wait(seconds - (monotonic() - started))
    finally:
        signal.signal(signal.SIGTERM, previous)

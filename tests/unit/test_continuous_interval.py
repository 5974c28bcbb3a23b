"""The time between two polls of continuous mode, and its end."""

import os
import signal
from threading import Event

import pytest

from components.errors import InputError
from components.poll import check_interval, repeat_until_sigterm


@pytest.mark.parametrize(
    ("interval", "seconds"),
    [("", 0), ("1 second", 1), ("030 seconds", 30), (" 1 Minute ", 60), ("500 milliseconds", 0.5), ("2hours", 7200)],
)
def test_valid_interval_is_accepted(interval: str, seconds: float) -> None:
    assert check_interval(interval) == seconds


@pytest.mark.parametrize("interval", ["soon", "0 seconds", "-1 minute", "1.5 hours", "1 month", "10", "1 second; x"])
def test_invalid_interval_raises_an_error(interval: str) -> None:
    with pytest.raises(InputError, match=r"^continuous_interval: '.*' is not an interval"):
        check_interval(interval)


def test_step_without_an_interval_runs_once() -> None:
    runs: list[bool] = []

    repeat_until_sigterm(lambda ending: runs.append(ending.is_set()), "")

    assert runs == [False]


def test_step_is_repeated_until_sigterm_and_sees_it() -> None:
    before = signal.getsignal(signal.SIGTERM)
    runs: list[bool] = []

    def step(ending: Event) -> None:
        if len(runs) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        runs.append(ending.is_set())

    repeat_until_sigterm(step, "1 millisecond")

    assert runs == [False, False, True]
    assert signal.getsignal(signal.SIGTERM) is before


def test_sigterm_ends_the_pause_between_two_steps() -> None:
    def step(_: Event) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.05)

    before = signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    try:
        repeat_until_sigterm(step, "1 day")
    finally:
        signal.signal(signal.SIGALRM, before)

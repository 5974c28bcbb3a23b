"""The liveness lines of a rank."""

import time

import pytest

from components.train_classifier.rank.liveness import Liveness


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that a rank sees, in seconds, as the only element."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(("stall_timeout", "interval"), [(1800, 15), (40, 5)])
def test_positions_are_printed_at_intervals_far_below_the_stall_timeout(
    clock: list[float], capsys: pytest.CaptureFixture[str], stall_timeout: float, interval: int
) -> None:
    rank = Liveness(stall_timeout)
    for second in range(2 * interval + 1):
        clock[0] = 1000 + second
        rank.report(f"step {second}")

    expected = [f"liveness: step {second}" for second in (0, interval, 2 * interval)]
    assert capsys.readouterr().out.splitlines() == expected


def test_each_phase_is_printed_at_once(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    rank = Liveness(1800)
    rank.begin("weights")
    rank.begin("data")
    rank.report("features, image 32 of 64")

    assert capsys.readouterr().out.splitlines() == ["liveness: weights", "liveness: data"]

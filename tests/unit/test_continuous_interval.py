"""The time between two looks of a continuous stream."""

import pytest

from components.errors import InputError
from components.lake.stream import check_interval


@pytest.mark.parametrize("interval", ["", "1 second", "30 seconds", " 1 Minute ", "500 milliseconds", "2hours"])
def test_a_time_is_taken(interval: str) -> None:
    assert check_interval(interval) == interval.strip()


@pytest.mark.parametrize("interval", ["soon", "0 seconds", "-1 minute", "1.5 hours", "1 month", "10", "1 second; x"])
def test_what_is_no_time_is_told(interval: str) -> None:
    with pytest.raises(InputError, match=r"^continuous_interval: '.*' is no time"):
        check_interval(interval)

"""What images may take of the memory there is."""

import pytest

from components.workers.budget import Budget, parse_memory


@pytest.mark.parametrize(
    ("text", "size"),
    [("1024", 1024), ("2g", 2 * 2**30), ("512M", 512 * 2**20), ("4gb", 4 * 2**30), (" 1t ", 2**40), ("8k", 8192)],
)
def test_a_size_is_read_as_spark_spells_it(text: str, size: int) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["", "g", "1.5g", "-1", "2 gibibytes"])
def test_what_is_no_size_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="no size of memory"):
        parse_memory(text)


def test_half_the_memory_halves_the_budget() -> None:
    whole, half = Budget.share(2**30), Budget.share(2**29)

    assert whole.batch_bytes == 2 * half.batch_bytes
    assert abs(whole.pixels - 2 * half.pixels) <= 1
    # With its copies, what is held fits into the task's memory.
    assert 8 * whole.batch_bytes + 9 * whole.pixels < 2**30

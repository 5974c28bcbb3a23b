"""The part of a task's memory that images may use."""

import pytest

from components.spark.memory_budget import Budget, parse_memory


@pytest.mark.parametrize(
    ("text", "size"),
    [("1024", 1024), ("2g", 2 * 2**30), ("512M", 512 * 2**20), ("4gb", 4 * 2**30), (" 1t ", 2**40), ("8k", 8192)],
)
def test_size_is_parsed_as_spark_spells_it(text: str, size: int) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["", "g", "1.5g", "-1", "2 gibibytes"])
def test_invalid_size_raises_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size of memory"):
        parse_memory(text)


def test_half_the_memory_halves_the_budget() -> None:
    whole, half = Budget.of_task(2**30), Budget.of_task(2**29)

    assert whole.batch_bytes == 2 * half.batch_bytes
    assert abs(whole.pixels - 2 * half.pixels) <= 1
    # With its copies, what is held fits into the task's memory.
    assert 8 * whole.batch_bytes + 9 * whole.pixels < 2**30

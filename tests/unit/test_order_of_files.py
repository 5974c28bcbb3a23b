"""The order in which the processes of a parallel run start the test files."""

import pytest

from tests.support.file_seconds import FILE_SECONDS
from tests.support.paths import REPOSITORY


@pytest.mark.parametrize("name", FILE_SECONDS)
def test_each_file_in_the_table_of_seconds_exists(name: str) -> None:
    assert (REPOSITORY / name).is_file()


def test_the_table_of_seconds_begins_with_the_longest_file() -> None:
    assert list(FILE_SECONDS.values()) == sorted(FILE_SECONDS.values(), reverse=True)

"""What documents say of tests is true of them."""

import re

from tests.conftest import REPOSITORY


def test_each_case_of_the_table_of_images_is_shown_by_a_test_that_is_there() -> None:
    table = (REPOSITORY / "docs" / "images.md").read_text().partition("| Case |")[2].partition("\n\n")[0]
    rows = table.splitlines()[2:]
    named = [re.findall(r"`(test_\w+)`", row.rsplit("|", 2)[1]) for row in rows]

    assert rows
    assert all(named), rows
    tests = {
        name
        for file in (REPOSITORY / "tests").glob("*/test_*.py")
        for name in re.findall(r"^def (test_\w+)\(", file.read_text(), re.MULTILINE)
    }
    assert {name for names in named for name in names} <= tests

"""What documents say of tests is true of them."""

import re
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]


def test_each_case_of_the_table_of_images_names_what_shows_it() -> None:
    table = (REPOSITORY / "docs" / "images.md").read_text().partition("| Case |")[2].partition("\n\n")[0]
    rows = table.splitlines()[2:]

    assert rows
    assert all(re.search(r"`test_\w+`", row.rsplit("|", 2)[1]) for row in rows), rows


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_each_test_that_a_document_names_is_there(document: Path) -> None:
    tests = {
        name
        for file in (REPOSITORY / "tests").glob("*/test_*.py")
        for name in re.findall(r"^def (test_\w+)\(", file.read_text(), re.MULTILINE)
    }
    assert set(re.findall(r"`(test_\w+)`", document.read_text())) <= tests

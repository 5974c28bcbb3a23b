"""Test that names of files are UTF-8 in any locale."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from components.errors import InputError
from components.spark.file_names import use_utf8_names
from components.storage import uri
from tests.support.paths import REPOSITORY

# Prints what a listing finds and a store reads, in ASCII.
LIST = """
import sys
from components.ingest_images.discovery.counts import DiscoveryCounts
from components.ingest_images.discovery.open_listing import open_listing, source_path
from components.storage import uri
from components.storage.access import Access
from components.storage.stores import open_store

source, counts = uri.normalize(sys.argv[1], "source"), DiscoveryCounts()
store = open_store(source, Access())
names = [file.name for file in open_listing(source, Access(), counts).files()]
print(ascii(names))
print(b"".join(store.read(source_path(source) + name) for name in names))
print(ascii(sorted(store.find(source))), counts.unreadable_names)
"""


@pytest.mark.parametrize(
    "environment",
    [{"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}],
    ids=["C", "ASCII"],
)
def test_names_are_found_and_read_in_any_locale(tmp_path: Path, environment: dict[str, str]) -> None:
    folder = tmp_path / "Größe"
    names = ["%41+: b.jpg", "Grüße/写真.jpg", "e\u0301.jpg", "é.jpg"]
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"%d" % number)

    def found() -> list[str]:
        command = [sys.executable, "-c", LIST, str(folder)]
        return subprocess.check_output(command, cwd=REPOSITORY, env=os.environ | environment, text=True).splitlines()

    assert found() == [ascii(names), "b'0123'", f"{names!a} 0"]

    # Latin-1 has no name in UTF-8, so the lake can't hold it.
    with open(os.fsencode(folder) + b"/caf\xe9.jpg", "wb"):
        pass
    assert found()[0] == ascii(names)
    assert found()[2].endswith(" 1")


def test_folder_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(InputError, match=r"^source: '/caf\\udce9' is not UTF-8\. Rename the folder\.$"):
        uri.normalize(os.fsdecode(b"/caf\xe9"), "source")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "C.UTF-8"),
        ({"LC_ALL": "C", "LANG": "en_US.UTF-8"}, "C.UTF-8"),
        ({"LANG": "de_DE.ISO-8859-1"}, "C.UTF-8"),
        ({"LANG": "de_DE.utf8"}, None),
        ({"LC_ALL": "", "LC_CTYPE": "en_US.UTF-8", "LANG": "C"}, None),
    ],
)
def test_processes_get_a_locale_with_utf8_unless_they_have_one(
    environment: dict[str, str], expected: str | None
) -> None:
    before = environment.get("LC_ALL")

    use_utf8_names(environment)

    assert environment.get("LC_ALL") == (expected or before)

"""Small files by URI: written whole, and found again."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from components.storage import files


@pytest.mark.parametrize("scheme", ["file://", "file:"])
def test_what_was_written_is_read_and_replaces_what_was_there(tmp_path: Path, scheme: str) -> None:
    uri = f"{scheme}{tmp_path}/folder/a #1 näme%20[1].json"

    for text in ("first, and longer", "zwölf"):
        files.write_text(uri, text)

    assert files.read_text(uri) == "zwölf"
    assert files.list_names(f"{scheme}{tmp_path}/folder") == ["a #1 näme%20[1].json"]
    status = files.status(uri)
    assert status is not None
    assert status.length == len("zwölf".encode())
    assert abs(datetime.now(UTC) - status.modification_time) < timedelta(days=1)


def test_files_are_found_at_any_depth_and_known_for_new_when_written_anew(tmp_path: Path) -> None:
    for name in ("a [1].csv", "deep/er/b.csv"):
        files.write_text(f"file://{tmp_path}/{name}", "one")
    before = files.find(f"file://{tmp_path}")

    files.write_text(f"file://{tmp_path}/a [1].csv", "two")
    after = files.find(f"file://{tmp_path}")

    assert before.keys() == after.keys() == {"a [1].csv", "deep/er/b.csv"}
    assert [before[name].version == after[name].version for name in sorted(before)] == [False, True]
    assert after["a [1].csv"] == files.status(f"file://{tmp_path}/a [1].csv")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    uri = f"file://{tmp_path}/nothing"

    assert files.status(uri) is None
    assert files.list_names(uri) == []
    assert files.find(uri) == {}
    assert not files.exists(uri)
    files.remove(uri)
    files.remove_folder(uri)
    with pytest.raises(FileNotFoundError, match="nothing"):
        files.read_text(uri)


def test_a_folder_goes_with_all_that_is_in_it(tmp_path: Path) -> None:
    files.write_text(f"file://{tmp_path}/a[1]/b/c", "")
    files.write_text(f"file://{tmp_path}/a1", "")

    files.remove_folder(f"file://{tmp_path}/a[1]")

    assert files.list_names(f"file://{tmp_path}") == ["a1"]
    assert files.is_folder(f"file://{tmp_path}")
    assert not files.is_folder(f"file://{tmp_path}/a1")

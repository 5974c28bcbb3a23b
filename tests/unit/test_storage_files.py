"""Test small files by URI: atomic writes, listing and removal."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from components.storage.files import Files


@pytest.mark.parametrize("scheme", ["file://", "file:"])
def test_write_replaces_the_existing_file(tmp_path: Path, scheme: str) -> None:
    uri = f"{scheme}{tmp_path}/folder/a #1 näme%20[1].json"

    for text in ("first, and longer", "zwölf"):
        Files().write_text(uri, text)

    assert Files().read_text(uri) == "zwölf"
    assert Files().list_names(f"{scheme}{tmp_path}/folder") == ["a #1 näme%20[1].json"]
    status = Files().status(uri)
    assert status is not None
    assert status.length == len("zwölf".encode())
    assert abs(datetime.now(UTC) - status.modification_time) < timedelta(days=1)


def test_files_are_found_at_any_depth_and_rewritten_ones_have_a_new_version(tmp_path: Path) -> None:
    for name in ("a [1].csv", "deep/er/b.csv"):
        Files().write_text(f"file://{tmp_path}/{name}", "one")
    before = Files().find(f"file://{tmp_path}")

    Files().write_text(f"file://{tmp_path}/a [1].csv", "two")
    after = Files().find(f"file://{tmp_path}")

    assert before.keys() == after.keys() == {"a [1].csv", "deep/er/b.csv"}
    assert [before[name].version == after[name].version for name in sorted(before)] == [False, True]
    assert after["a [1].csv"] == Files().status(f"file://{tmp_path}/a [1].csv")


def test_missing_file_raises_an_error(tmp_path: Path) -> None:
    uri = f"file://{tmp_path}/nothing"

    assert Files().status(uri) is None
    assert Files().list_names(uri) == []
    assert Files().find(uri) == {}
    assert not Files().exists(uri)
    Files().remove(uri)
    Files().remove_folder(uri)
    with pytest.raises(FileNotFoundError, match="nothing"):
        Files().read_text(uri)


def test_folder_is_removed_with_its_contents(tmp_path: Path) -> None:
    Files().write_text(f"file://{tmp_path}/a[1]/b/c", "")
    Files().write_text(f"file://{tmp_path}/a1", "")

    Files().remove_folder(f"file://{tmp_path}/a[1]")

    assert Files().list_names(f"file://{tmp_path}") == ["a1"]
    assert Files().is_folder(f"file://{tmp_path}")
    assert not Files().is_folder(f"file://{tmp_path}/a1")


def test_created_file_is_whole_and_never_replaced(tmp_path: Path) -> None:
    uri = f"file://{tmp_path}/folder/a.json"
    Files().create_bytes(uri, b"first")

    with pytest.raises(FileExistsError):
        Files().create_bytes(uri, b"second")

    assert Files().read_text(uri) == "first"
    assert Files().list_names(f"file://{tmp_path}/folder") == ["a.json"]

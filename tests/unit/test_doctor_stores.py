"""The doctor on folders of this machine: overlaps, lists, reads, and probes that leave nothing."""

from pathlib import Path

import pytest

from components.settings import Settings
from components.storage.files import Files
from pipelines.doctor.context import Context
from pipelines.doctor.finding import Finding, Level
from pipelines.doctor.folders import check_folders
from pipelines.doctor.probe import probe
from pipelines.doctor.stores import check_stores


def serious(findings: list[Finding]) -> list[str]:
    """Return the sentences of warnings and errors."""
    return [f"{each.what} {each.remedy}" for each in findings if each.level is not Level.OK]


def context(tmp_path: Path, write: bool = False, **settings: str) -> Context:
    folders = {name: str(tmp_path / folder) for name, folder in settings.items()}
    return Context(Settings(**folders), write)  # type: ignore[arg-type]


def make_lake(folder: Path) -> None:
    """Make the folder that the stores' check takes for a lake."""
    (folder / "images" / "_delta_log").mkdir(parents=True)


def everything(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def test_each_pair_of_overlapping_folders_is_one_error(tmp_path: Path) -> None:
    found = list(check_folders(context(tmp_path, lake="a/lake", labeled_source="a", unlabeled_source="a/lake/new")))

    errors = serious(found)
    assert len(errors) == 3
    assert all("Give another folder." in each for each in errors)


def test_missing_landing_folder_names_its_setting(tmp_path: Path) -> None:
    (found,) = check_stores(context(tmp_path, unlabeled_source="nowhere"))

    assert found.level is Level.ERROR
    assert found.what.startswith("unlabeled_source: ")
    assert "nowhere" in found.what


def test_empty_landing_folder_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()

    (found,) = check_stores(context(tmp_path, unlabeled_source="new"))

    assert (found.level, "has no files" in found.what) == (Level.WARNING, True)


def test_landing_folder_with_a_file_can_be_listed_and_read(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "a.jpg").write_bytes(b"x")

    assert serious(list(check_stores(context(tmp_path, unlabeled_source="new")))) == []


def test_misspelled_lake_names_the_lake_that_was_meant(tmp_path: Path) -> None:
    make_lake(tmp_path / "warehouse")

    (sentence,) = serious(list(check_stores(context(tmp_path, lake="warehosue"))))

    assert f"there is one at 'file://{tmp_path}/warehouse'. Correct the URI." in sentence


def test_lake_inside_another_one_is_an_error(tmp_path: Path) -> None:
    make_lake(tmp_path / "lake")
    make_lake(tmp_path / "lake" / "inner")

    (sentence,) = serious(list(check_stores(context(tmp_path, lake="lake/inner"))))

    assert f"is inside the lake 'file://{tmp_path}/lake'. Give a folder beside it." in sentence


def test_annotations_with_an_unknown_suffix_are_named(tmp_path: Path) -> None:
    (tmp_path / "answers").mkdir()
    (tmp_path / "answers" / "a.xlsx").write_bytes(b"x")

    (sentence,) = serious(list(check_stores(context(tmp_path, annotations_source="answers"))))

    assert "1 files with the suffix '.xlsx' are not read" in sentence


def test_doctor_writes_nothing_without_the_option(tmp_path: Path) -> None:
    make_lake(tmp_path / "lake")
    before = everything(tmp_path)

    list(check_stores(context(tmp_path, lake="lake", labeling_destination="to")))

    assert everything(tmp_path) == before


def test_probe_of_a_writable_folder_finds_nothing_and_is_removed(tmp_path: Path) -> None:
    make_lake(tmp_path / "lake")
    before = everything(tmp_path)

    found = list(check_stores(context(tmp_path, write=True, lake="lake", labeling_destination="to")))

    assert serious(found) == []
    assert any("was written, listed, replaced, read and deleted" in each.what for each in found)
    assert everything(tmp_path) == before


class _Overwriting(Files):
    """Files in a store that ignores the condition of a conditional write."""

    def create_bytes(self, uri: str, content: bytes) -> None:
        self.write_bytes(uri, content)


def test_store_without_conditional_writes_is_an_error(tmp_path: Path) -> None:
    (sentence,) = serious(list(probe("lake", tmp_path.as_uri(), _Overwriting())))

    assert "replaced an object by a write that must create a new one" in sentence
    assert everything(tmp_path) == set()


def test_probe_is_removed_after_an_error(tmp_path: Path) -> None:
    class Unreadable(Files):
        def read_bytes(self, uri: str) -> bytes:
            raise PermissionError(uri)

    with pytest.raises(PermissionError):
        list(probe("lake", tmp_path.as_uri(), Unreadable()))

    assert everything(tmp_path) == set()

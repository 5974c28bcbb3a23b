"""The lake that a mistyped URI means."""

from pathlib import Path

import pytest

from components.errors import InputError
from components.lake.nearby import enclosing_lake, is_similar, nearby_lake
from components.storage.files import Files


def make_lake(root: Path) -> str:
    (root / "images" / "_delta_log").mkdir(parents=True)
    return root.as_uri()


@pytest.mark.parametrize(
    ("name", "other", "similar"),
    [
        ("lkae", "lake", True),
        ("laek", "lake", True),
        ("lak", "lake", True),
        ("lakes", "lake", True),
        ("Lake", "lake", True),
        ("image-lkaes", "image-lake", True),
        # Names that people choose.
        ("lake", "lake", False),
        ("lake2", "lake", False),
        ("lake-2025", "lake-2026", False),
        ("lake-test", "lake", False),
        ("prod", "test", False),
        ("a", "b", False),
    ],
)
def test_names_with_a_typing_error_are_similar(name: str, other: str, similar: bool) -> None:
    assert is_similar(name, other) is is_similar(other, name) is similar


def test_lake_is_found_where_one_segment_is_mistyped(tmp_path: Path) -> None:
    lake = make_lake(tmp_path / "lakes" / "prod")
    (tmp_path / "lakes" / "prud").mkdir()

    for mistyped in ("lakes/prd", "laks/prod", "lakes/prud"):
        assert nearby_lake((tmp_path / mistyped).as_uri(), Files()) == lake
    for other in ("lakes/staging", "laks/staging", "elsewhere", "prod"):
        assert nearby_lake((tmp_path / other).as_uri(), Files()) == ""


def test_lake_of_the_settings_is_found_without_a_listing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Files, "exists", lambda self, uri: uri.startswith("s3a://data/lake/"))

    assert nearby_lake("s3a://data/lkae", Files(), ["", "s3://data/lake"]) == "s3a://data/lake"
    assert nearby_lake("s3a://data/lkae", Files(), ["s3a://data/new/lake", "s3a://data/lkea"]) == ""


def test_lake_that_contains_a_folder_is_found(tmp_path: Path) -> None:
    lake = make_lake(tmp_path / "lake")

    assert enclosing_lake(f"{lake}/images/other", Files()) == enclosing_lake(f"{lake}/other", Files()) == lake
    assert enclosing_lake(lake, Files()) == enclosing_lake(f"{lake}2", Files()) == ""


def test_a_parent_folder_without_access_contains_no_lake(monkeypatch: pytest.MonkeyPatch) -> None:
    def exists(self: Files, uri: str) -> bool:
        if not uri.startswith("s3a://data/a/"):
            raise InputError("access is refused")
        return uri == "s3a://data/a/images/_delta_log"

    monkeypatch.setattr(Files, "exists", exists)

    assert enclosing_lake("s3a://data/a/b", Files()) == "s3a://data/a"
    assert enclosing_lake("s3a://data/c/b", Files()) == ""

"""Tests of the sources of annotations: which files count as exports, and in which order."""

import os
from pathlib import Path

import pytest

from components.errors import InputError
from components.labeling.sources import open_source
from components.settings import Settings


def test_exports_are_found_at_any_depth_without_manifests_and_partial_files(tmp_path: Path) -> None:
    for name in ("a.csv", "deep/er/B.JSONL", "b1/manifest.jsonl", "_part/c.json", "deep/.d.csv", "e.xlsx"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")

    assert {export.name for export in open_source(str(tmp_path), Settings.load()).listing().exports} == {
        "a.csv",
        "deep/er/B.JSONL",
    }


def test_newest_export_of_a_folder_comes_first(tmp_path: Path) -> None:
    for time, name in enumerate(("b.csv", "c.csv", "a.csv")):
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (time, time))

    assert [export.name for export in open_source(str(tmp_path), Settings.load()).listing().exports] == [
        "a.csv",
        "c.csv",
        "b.csv",
    ]


def test_single_file_can_be_a_source(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("path,label\n")
    (tmp_path / "b.csv").write_text("")
    source = open_source(f"file://{tmp_path}/a.csv", Settings.load())

    (export,) = source.listing().exports

    assert (export.name, source.read(export)) == ("a.csv", b"path,label\n")


def test_missing_source_or_unknown_format_is_named(tmp_path: Path) -> None:
    (tmp_path / "labels.xlsx").write_text("")

    with pytest.raises(InputError, match=r"^source: no file or folder 'file://.*nowhere'"):
        open_source(str(tmp_path / "nowhere"), Settings.load()).listing()
    with pytest.raises(InputError, match=r"^source: '.*labels.xlsx' has an unknown format. Give a file of .csv"):
        open_source(str(tmp_path / "labels.xlsx"), Settings.load())


def test_files_of_another_suffix_are_named_with_their_number(tmp_path: Path) -> None:
    for name in ("a.csv", "x.XLSX", "deep/y.xlsx", "z.tar.gz", "README", "_part.xlsx", "b1/manifest.jsonl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")

    listing = open_source(str(tmp_path), Settings.load()).listing()

    assert {suffix: (files.count, files.example) for suffix, files in listing.others.items()} == {
        ".xlsx": (2, "deep/y.xlsx"),
        ".gz": (1, "z.tar.gz"),
        "": (1, "README"),
    }

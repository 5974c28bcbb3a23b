"""Test which folders may not lie in each other."""

from pathlib import Path

import pytest

from components.errors import InputError
from components.settings import Settings
from components.storage.overlaps import check_overlaps

SETTINGS = {
    "lake": "s3a://bucket/lake",
    "labeled_source": "s3a://bucket/labeled",
    "unlabeled_source": "s3a://bucket/new",
    "labeling_destination": "s3a://bucket/to-label",
}


def check(setting: str, folder: str, **changed: str) -> None:
    check_overlaps(Settings(**SETTINGS | changed), setting, folder, "source")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("setting", "folder", "error"),
    [
        ("unlabeled_source", "s3a://bucket/", "source: 's3a://bucket/' contains lake 's3a://bucket/lake'"),
        ("unlabeled_source", "s3://bucket/lake", "source: 's3://bucket/lake' lies in lake 's3a://bucket/lake'"),
        ("labeled_source", "s3a://bucket/lake/images", "source: 's3a://bucket/lake/images' lies in lake"),
        ("unlabeled_source", "s3a://bucket/labeled/a", "source: .* lies in labeled_source 's3a://bucket/labeled'"),
        ("labeled_source", "s3a://bucket/new", "source: .* lies in unlabeled_source 's3a://bucket/new'"),
        ("unlabeled_source", "s3a://bucket/to-label", "source: .* contains labeling_destination"),
        ("labeling_destination", "s3a://bucket//new/./out", "source: .* lies in unlabeled_source"),
        ("annotations_source", "s3a://bucket/lake/annotations", "source: .* lies in lake"),
        ("annotations_source", "s3a://bucket", "source: 's3a://bucket' contains lake"),
        ("archive", "s3a://bucket/new/old", "source: 's3a://bucket/new/old' lies in unlabeled_source"),
        ("archive", "s3a://bucket/lake", "source: 's3a://bucket/lake' lies in lake"),
    ],
)
def test_folders_that_would_mix_are_refused(setting: str, folder: str, error: str) -> None:
    with pytest.raises(InputError, match=f"^{error}.*Give another folder\\.$"):
        check(setting, folder)


def test_a_link_into_the_lake_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lake" / "images").mkdir(parents=True)
    (tmp_path / "landing").symlink_to(tmp_path / "lake" / "images")

    with pytest.raises(InputError, match="lies in lake"):
        check("labeled_source", str(tmp_path / "landing"), lake=str(tmp_path / "lake"))


def test_container_url_is_the_folder_of_its_files() -> None:
    with pytest.raises(InputError, match="contains labeling_destination"):
        check(
            "unlabeled_source",
            "abfss://images@account.dfs.core.windows.net/new",
            labeling_destination="https://account.blob.core.windows.net/images/new/to%2Dlabel/",
        )


@pytest.mark.parametrize(
    ("setting", "folder"),
    [
        ("unlabeled_source", "s3a://bucket/new/2026"),
        ("unlabeled_source", "s3a://bucket/labeled-later"),
        ("unlabeled_source", "s3a://bucket/to-label/raw"),
        ("labeled_source", "s3a://other/new"),
        # Services export annotations to the container of the batches.
        ("annotations_source", "s3a://bucket/to-label/annotations"),
        ("labeling_destination", "https://account.blob.core.windows.net/container"),
    ],
)
def test_folders_apart_are_accepted(setting: str, folder: str) -> None:
    check(setting, folder)

"""Test where the next incremental listing starts."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.ingest_images.discovery import ascending
from components.ingest_images.discovery.ascending import AscendingNames, DateFolders
from components.ingest_images.discovery.progress import DiscoveryProgress

TODAY = date(2026, 11, 29)
FORMATS = ("%Y/%m/%d", "%Y-%m-%d", "%Y%m%d", "year=%Y/month=%m/day=%d", "date=%Y-%m-%d")


def start_of(names: list[str], overlap_days: int = 2) -> str:
    folders = DateFolders(TODAY, overlap_days)
    for name in names:
        folders.add(name)
    return folders.start()


@pytest.mark.parametrize(
    ("names", "start"),
    [
        (["2026/11/28/a.jpg", "2026/11/29/camera/b.jpg"], "2026/11/27/"),
        (["2026-03-01/a.jpg"], "2026-02-27/"),
        (["20260301/a.jpg"], "20260227/"),
        (["year=2026/month=01/day=01/a.jpg"], "year=2025/month=12/day=30/"),
        (["date=2026-11-29/a.jpg"], "date=2026-11-27/"),
        (["year=2026/month=11/a.jpg"], "year=2026/month=10/"),
        (["2026-11/a.jpg"], "2026-10/"),
        (["2026/11/a.jpg"], "2026/10/"),
        # The clock of a camera is wrong: files of later dates are listed, but do not move the start.
        (["2026/11/29/a.jpg", "2099/01/01/b.jpg"], "2026/11/27/"),
        (["2026/11/30/a.jpg"], "2026/11/28/"),
        # Names without a date, with an impossible one, or without leading zeros do not ascend.
        (["a/1.jpg", "b/2.jpg"], ""),
        (["2026/13/01/a.jpg"], ""),
        (["year=2026/month=3/day=1/a.jpg"], ""),
        (["2026/11/29/a.jpg", "class/a.jpg"], ""),
        ([], ""),
    ],
)
def test_incremental_listing_starts_before_the_newest_date_folder(names: list[str], start: str) -> None:
    assert start_of(names) == start


def test_few_files_outside_of_date_folders_are_no_obstacle() -> None:
    names = ["0-readme.jpg", *(f"2026/11/29/{number}.jpg" for number in range(99))]

    assert start_of(names) == "2026/11/27/"


@given(
    st.lists(st.dates(date(1980, 1, 1), TODAY), min_size=1),
    st.sampled_from(FORMATS),
    st.integers(min_value=1, max_value=60),
)
def test_every_file_within_the_overlap_comes_after_the_start(days: list[date], folder: str, overlap_days: int) -> None:
    start = start_of(sorted(f"{day.strftime(folder)}/a.jpg" for day in days), overlap_days)
    late = max(days) - timedelta(days=overlap_days)

    assert f"{late.strftime(folder)}/0.jpg" > start
    assert f"{(late - timedelta(days=1)).strftime(folder)}/z.jpg" < start


def test_ascending_names_overlap_by_a_number_of_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ascending, "_OVERLAP_FILES", 3)
    names = AscendingNames()
    starts = []
    for number in range(5):
        names.add(f"{number}.jpg")
        starts.append(names.start())

    assert starts == ["", "", "0.jpg", "1.jpg", "2.jpg"]


@pytest.mark.parametrize(
    ("glob", "now", "full"),
    [
        ("*.jpg", datetime(2026, 11, 29, tzinfo=UTC), False),
        ("*.jpg", datetime(2026, 12, 5, 23, tzinfo=UTC), False),
        ("*.jpg", datetime(2026, 12, 6, tzinfo=UTC), True),
        ("*.jpg", datetime(2107, 1, 1, tzinfo=UTC), True),
        ("*.jpg", datetime(1980, 1, 1, tzinfo=UTC), True),
        ("*.png", datetime(2026, 11, 29, tzinfo=UTC), True),
    ],
)
def test_full_listing_is_due_after_a_week_or_a_change_of_the_clock_or_the_glob(
    glob: str, now: datetime, full: bool
) -> None:
    progress = DiscoveryProgress(
        source="s3a://landing", glob="*.jpg", full_listing_at=datetime(2026, 11, 29, tzinfo=UTC)
    )

    assert progress.needs_full_listing(glob, 7, now) == full

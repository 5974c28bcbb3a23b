"""Test which folders are parts of a date."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.ingest_images.labels.dates import are_dates


@pytest.mark.parametrize(
    ("path", "dates"),
    [
        ("2026/11/29", 3),
        ("2026/1/5", 3),
        ("2026/11/29/13/59", 5),
        ("2026-11-29", 1),
        ("2026_11_29", 1),
        ("20261129", 1),
        ("20261129_101112", 1),
        ("2026-11-29T10:11:12Z", 1),
        ("2026-11-29 10.11", 1),
        ("29.11.2026", 1),
        ("11-29-2026", 1),
        ("2026-11", 1),
        ("2026-W48", 1),
        ("2026/W48", 2),
        ("2026/November/29", 3),
        ("2026/11-Nov/29", 3),
        ("Nov 2026", 1),
        ("2026/Q4", 2),
        ("2026/2026-11/2026-11-29", 3),
        ("2026-11-29/13", 2),
        ("year=2026/month=11/day=29/hour=13", 4),
        ("date=2026-11-29", 1),
        ("dt=20261129", 1),
        ("year=2026/11/29", 3),
        ("minute=30", 1),
        ("1999", 1),
    ],
)
def test_dates_are_recognized_in_one_folder_and_over_several(path: str, dates: int) -> None:
    assert are_dates(path.split("/")) == [True] * dates
    assert are_dates(["cats", *path.split("/"), "cats"]) == [False, *[True] * dates, False]


@pytest.mark.parametrize(
    "path",
    [
        "cats",
        "0",
        "11",
        "11/29",
        "29",
        "1026",
        "202",
        "20261329",
        "2026-13-01",
        "2026-11-29-cats",
        "v2026",
        "may",
        "color=2026",
        "class=7",
        "12345678",
        "001.ak47",
        "n01440764",
        "",
    ],
)
def test_other_names_are_not_dates(path: str) -> None:
    folders = path.split("/")

    assert are_dates(folders) == [False] * len(folders)


def test_digit_below_a_day_is_not_an_hour() -> None:
    assert are_dates(["2026", "11", "29", "7"]) == [True, True, True, False]


@given(
    st.dates(date(1900, 1, 1), date(2199, 12, 31)),
    st.sampled_from(["%Y/%m/%d", "%Y-%m-%d", "%Y%m%d", "%d.%m.%Y", "%Y/%B/%d", "year=%Y/month=%m/day=%d", "%Y_%m"]),
)
def test_each_day_is_a_date_in_each_format(day: date, folder_format: str) -> None:
    assert all(are_dates(day.strftime(folder_format).split("/")))


@given(st.lists(st.text(max_size=8), max_size=5))
def test_any_folders_can_be_tested(folders: list[str]) -> None:
    assert len(are_dates(folders)) == len(folders)

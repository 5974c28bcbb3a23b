"""The segments that are searched for a content, in their order."""

from datetime import UTC, datetime, timedelta

from pipelines.trace.membership import SegmentRecord, search_order

START = datetime(2026, 5, 1, tzinfo=UTC)


def made(name: str, day: float, replaced_by: str | None = None) -> SegmentRecord:
    return SegmentRecord(name, replaced_by, START + timedelta(days=day))


SEGMENTS = [made("old", 0), made("a", 7, "merged"), made("b", 7, "merged"), made("c", 14), made("merged", 14)]
FILES = [each.name for each in SEGMENTS]


def test_segments_of_the_first_build_are_searched_first() -> None:
    assert search_order(SEGMENTS, START + timedelta(days=6), FILES) == [["a", "b"], ["c"], ["merged"]]


def test_each_commit_of_a_build_is_searched_on_its_own() -> None:
    segments = [made("second", 7.1), made("first", 7)]

    assert search_order(segments, START, ["first", "second"]) == [["first"], ["second"]]


def test_segments_older_than_the_content_are_not_searched() -> None:
    assert search_order(SEGMENTS, START + timedelta(days=10), FILES) == [["c"], ["merged"]]
    assert search_order(SEGMENTS, START + timedelta(days=20), FILES) == []


def test_segments_without_a_file_are_not_searched() -> None:
    assert search_order(SEGMENTS, START + timedelta(days=6), ["b", "merged"]) == [["b"], ["merged"]]
    assert search_order(SEGMENTS, START + timedelta(days=6), ["merged"]) == [["merged"]]

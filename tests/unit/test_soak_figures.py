"""Test the figures of the soak, without running it."""

from dataclasses import replace

from benchmarks.soak import MAINTENANCE_ROUNDS, Round, plot, rows, windows

FLAT = [
    Round(number, 20, 25, 400, 900, 100 + 30 * number, 30, 50 + 4 * (number % MAINTENANCE_ROUNDS))
    for number in range(1, 301)
]


def test_flat_rounds_reach_all_goals() -> None:
    assert all(row.reached and row.ratio.median == 1 for row in rows(FLAT))


def test_growing_heap_misses_its_goal_only() -> None:
    growing = [replace(each, heap=each.heap + 2 * each.number) for each in FLAT]

    assert [row.name for row in rows(growing) if not row.reached] == ["soak: live heap of the driver"]


def test_slow_first_rounds_do_not_hide_growth() -> None:
    measured = [replace(each, processor=200 if each.number <= 10 else 20 + each.number) for each in FLAT]

    assert [row.name for row in rows(measured) if not row.reached] == ["soak: processor time of a round"]


def test_both_windows_begin_after_a_maintenance() -> None:
    first, last = windows(FLAT)

    assert (first[0].number, first[-1].number) == (51, 100)
    assert (last[0].number, last[-1].number) == (251, 300)


def test_files_that_no_maintenance_compacts_miss_their_goal_only() -> None:
    measured = [replace(each, table_files=each.number) for each in FLAT]

    assert [row.name for row in rows(measured) if not row.reached] == ["soak: files of the tables without images"]


def test_few_rounds_have_two_windows_of_a_third() -> None:
    first, last = windows(FLAT[:10])

    assert [each.number for each in (*first, *last)] == [4, 5, 6, 8, 9, 10]


def test_plot_names_each_quantity() -> None:
    drawn = plot(FLAT)

    assert drawn.count("1 = ") == 5

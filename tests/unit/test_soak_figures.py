"""Test the figures of the soak, without running it."""

from dataclasses import replace

from benchmarks.soak import Round, plot, rows

FLAT = [Round(number, 20, 400, 900, 100 + 30 * number, 30, 50) for number in range(1, 81)]


def test_flat_rounds_reach_all_goals() -> None:
    assert all(row.reached and row.ratio.median == 1 for row in rows(FLAT))


def test_growing_heap_misses_its_goal_only() -> None:
    growing = [replace(each, heap=each.heap + 2 * each.number) for each in FLAT]

    assert [row.name for row in rows(growing) if not row.reached] == ["soak: live heap of the driver"]


def test_slow_first_rounds_do_not_hide_growth() -> None:
    measured = [replace(each, seconds=200 if each.number <= 10 else 20 + each.number) for each in FLAT]

    assert [row.name for row in rows(measured) if not row.reached] == ["soak: seconds of a round"]


def test_plot_names_each_quantity() -> None:
    drawn = plot(FLAT)

    assert drawn.count("1 = ") == 4

"""Results of the benchmarks: medians, ratios, goals, and the table in the README."""

from datetime import date
from functools import partial
from pathlib import Path

import pytest

from benchmarks.results import OURS, README, Baseline, Direction, Figure, Goal, Machine, Results, Row, make_row
from benchmarks.timing import Measurements, interleave


def row(ours: list[float], limit: list[float], goal: Goal, name: str = "feed") -> Row:
    return make_row(
        Measurements({OURS: ours, Baseline.LIMIT: limit}),
        Baseline.LIMIT,
        name=name,
        size="10 images",
        unit="images/s",
        goal=goal,
        how="by hand",
    )


@pytest.mark.parametrize(
    ("direction", "ratio", "reached"),
    [
        (Direction.AT_LEAST, 0.79, False),
        (Direction.AT_LEAST, 0.8, True),
        (Direction.AT_LEAST, 0.81, True),
        (Direction.AT_MOST, 0.79, True),
        (Direction.AT_MOST, 0.8, True),
        (Direction.AT_MOST, 0.81, False),
    ],
)
def test_goal_is_reached_at_its_bound_and_beyond(direction: Direction, ratio: float, reached: bool) -> None:
    assert row([ratio], [1], Goal(direction=direction, value=0.8)).reached is reached


def test_ratio_is_the_median_of_the_ratios_by_round() -> None:
    result = row([10, 40, 30], [10, 20, 10], Goal(direction=Direction.AT_LEAST, value=2))

    # The ratio of the medians is 3.
    assert (result.ratio.low, result.ratio.median, result.ratio.high) == (1, 2, 3)
    assert result.reached
    assert (result.ours.low, result.ours.median, result.ours.high, result.ours.repeats) == (10, 30, 40, 3)


def test_interleave_reverses_every_other_round() -> None:
    turns: list[str] = []

    def turn(name: str) -> float:
        turns.append(name)
        return len(turns)

    measured = interleave({name: partial(turn, name) for name in "abc"}, rounds=2)

    assert "".join(turns) == "abccba"
    assert measured.values["a"] == [1, 6]


def test_readme_shows_rows_and_failed_figures(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- generated: figures -->\nold\n<!-- end -->\nafter\n")
    rows = [
        row([1234.5], [1000], Goal(direction=Direction.AT_LEAST, value=0.8)),
        row([1, 2], [4, 4], Goal(direction=Direction.AT_LEAST, value=0.8), "ingest"),
    ]
    figure = Figure(measured_on=date(2026, 11, 30), machine=Machine(cores=2, memory_gib=23.4), rows=rows)
    results = Results(figures={"feed": figure}, failed={"ranks": "RuntimeError"})

    results.write(tmp_path / "results.json", readme)

    text = readme.read_text()
    assert text.startswith("before\n")
    assert text.endswith("<!-- end -->\nafter\n")
    assert "old" not in text
    assert "| feed | 10 images | 1,234 images/s |  | 1,000 images/s | 1.23 | >= 0.8 | yes |" in text
    assert (
        "| ingest | 10 images | 1.5 images/s (1 to 2) |  | 4 images/s | 0.375 (0.25 to 0.5) | >= 0.8 | **no** |" in text
    )
    assert "- Measured on 2026-11-30, with 2 cores and 23.4 GiB of memory: `feed`." in text
    assert "**ranks** could not be measured: RuntimeError" in text
    assert Results.read(tmp_path / "results.json") == results


def test_readme_shows_the_committed_results() -> None:
    results = Results.read()

    assert results.table() in README.read_text()
    assert not results.failed


def test_newer_figure_replaces_the_earlier_one_and_a_failure_keeps_it() -> None:
    goal = Goal(direction=Direction.AT_LEAST, value=1)

    def figure(day: int, value: float) -> Figure:
        machine = Machine(cores=2, memory_gib=23.4)
        return Figure(measured_on=date(2026, 11, day), machine=machine, rows=[row([value], [1], goal)])

    earlier = Results(figures={"feed": figure(1, 1), "ranks": figure(1, 2)}, failed={"feed": "OSError"})

    results = earlier.updated_by(Results(figures={"feed": figure(2, 3)}, failed={"ranks": "RuntimeError"}))

    assert [each.ours.median for each in results.rows] == [3, 2]
    assert results.failed == {"ranks": "RuntimeError"}

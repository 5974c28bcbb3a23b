"""Results of the benchmarks: rows with goals, in `results.json` and in the README."""

import os
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, computed_field

from benchmarks.timing import Measurements, Spread
from pipelines.generate import fill

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results.json"
README = FOLDER / "README.md"


class Direction(StrEnum):
    """The side of the bound on which the goal is reached."""

    AT_MOST = "<="
    AT_LEAST = ">="


class Goal(BaseModel):
    """The goal for a ratio.

    Attributes:
        direction: Side of the bound on which the goal is reached.
        value: Bound. A ratio equal to the bound reaches the goal.
    """

    model_config = ConfigDict(frozen=True)

    direction: Direction
    value: float

    def is_reached(self, ratio: float) -> bool:
        """Return whether a ratio reaches the goal."""
        return ratio <= self.value if self.direction is Direction.AT_MOST else ratio >= self.value

    def __str__(self) -> str:
        return f"{self.direction} {self.value:g}"


class Row(BaseModel):
    """One comparison at one size.

    Attributes:
        name: Name of the measurement.
        size: Amount of data, e.g. `256 new images of 400 x 300`.
        unit: Unit of `ours`, `reference` and `limit`.
        ours: Value of this project.
        reference: Value of the reference system's method, or of the baseline that `how` names; None if not measured.
        limit: Value of the same work without anything around it, on the same cores; None if not measured.
        ratio: Ours divided by the goal's baseline in each round, or the quantity that `how` names instead.
        goal: Goal for the ratio.
        how: Method of the measurement, in a few sentences.
        details: Further figures by name, e.g. bytes read.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    size: str
    unit: str
    ours: Spread
    reference: Spread | None = None
    limit: Spread | None = None
    ratio: Spread
    goal: Goal
    how: str
    details: dict[str, str] = {}

    @computed_field  # type: ignore[prop-decorator]  # as pydantic documents it
    @property
    def reached(self) -> bool:
        """Whether the median of the ratio reaches the goal."""
        return self.goal.is_reached(self.ratio.median)

    def formatted_values(self) -> list[str]:
        """Format `ours`, `reference` and `limit`; a missing value is empty."""
        return [format_spread(spread, self.unit) for spread in (self.ours, self.reference, self.limit)]


class Baseline(StrEnum):
    """The contender that ours is divided by."""

    REFERENCE = "reference"
    LIMIT = "limit"


OURS = "ours"


def make_row(
    measured: Measurements,
    baseline: Baseline,
    *,
    name: str,
    size: str,
    unit: str,
    goal: Goal,
    how: str,
    details: dict[str, str] | None = None,
) -> Row:
    """Return the row of a comparison of `ours` with one or two baselines.

    Args:
        measured: Values of `ours` and of the baselines.
        baseline: Baseline of the ratio.
        name: Name of the measurement.
        size: Amount of data.
        unit: Unit of the values.
        goal: Goal for the ratio.
        how: Method of the measurement, in a few sentences.
        details: Further figures by name.
    """
    baselines = {key: measured.spread(key) if key in measured.values else None for key in Baseline}
    return Row(
        name=name,
        size=size,
        unit=unit,
        ours=measured.spread(OURS),
        reference=baselines[Baseline.REFERENCE],
        limit=baselines[Baseline.LIMIT],
        ratio=measured.ratio(OURS, baseline),
        goal=goal,
        how=how,
        details=details or {},
    )


class Machine(BaseModel):
    """The machine of the measurements.

    Attributes:
        cores: Number of cores that the benchmarks may use.
        memory_gib: Memory of the machine in GiB.
    """

    cores: int
    memory_gib: float

    @classmethod
    def current(cls) -> Self:
        """Return this machine."""
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return cls(cores=len(os.sched_getaffinity(0)), memory_gib=round(memory / 2**30, 1))


class Figure(BaseModel):
    """The measurement of a figure.

    Attributes:
        measured_on: Date of the measurement.
        machine: Machine of the measurement.
        rows: Comparisons, in the order of the measurements.
    """

    measured_on: date
    machine: Machine
    rows: list[Row]


class Results(BaseModel):
    """Results of the benchmarks.

    Attributes:
        figures: Figures by name.
        failed: Type of the error, by name of the figure that could not be measured.
    """

    figures: dict[str, Figure] = {}
    failed: dict[str, str] = {}

    @property
    def rows(self) -> list[Row]:
        """Comparisons of all figures."""
        return [row for figure in self.figures.values() for row in figure.rows]

    def updated_by(self, newer: "Results") -> "Results":
        """Return these results with the figures of newer ones. A figure that failed keeps its earlier rows."""
        failed = {name: error for name, error in self.failed.items() if name not in newer.figures}
        return Results(figures=self.figures | newer.figures, failed=failed | newer.failed)

    def write(self, results: Path = RESULTS, readme: Path = README) -> None:
        """Write the results as JSON, and update the README."""
        results.write_text(self.model_dump_json(indent=2) + "\n")
        readme.write_text(fill(readme.read_text(), {"figures": self.table()}))

    @classmethod
    def read(cls, results: Path = RESULTS) -> Self:
        """Read results from JSON."""
        return cls.model_validate_json(results.read_text())

    def table(self) -> str:
        """Return the results as Markdown."""
        lines = [
            *self._measurements(),
            "",
            "The table shows medians, and in parentheses the least and the greatest value.",
            "",
            "| what | on | ours | the reference's way | limit | ratio | goal | reached |",
            "|---|---|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {row.name} | {row.size} | {' | '.join(row.formatted_values())} | {format_spread(row.ratio)} |"
            f" {row.goal} | {'yes' if row.reached else '**no**'} |"
            for row in self.rows
        ]
        lines += ["", *self._notes(), ""]
        return "\n".join(lines)

    def _measurements(self) -> list[str]:
        """Return a line for each day and machine with the figures that were measured there."""
        groups: dict[tuple[date, int, float], list[str]] = {}
        for name, figure in self.figures.items():
            key = figure.measured_on, figure.machine.cores, figure.machine.memory_gib
            groups.setdefault(key, []).append(f"`{name}`")
        return [
            f"- Measured on {day}, with {cores} cores and {memory:g} GiB of memory: {', '.join(names)}."
            for (day, cores, memory), names in sorted(groups.items())
        ]

    def _notes(self) -> list[str]:
        notes = [f"- **{name}**: {how}" for name, how in {row.name: row.how for row in self.rows}.items()]
        for row in self.rows:
            if row.details:
                details = "; ".join(f"{key}: {value}" for key, value in row.details.items())
                notes.append(f"- {row.name}, {row.size}: {details}.")
        return notes + [f"- **{name}** could not be measured: {reason}" for name, reason in self.failed.items()]


def format_spread(spread: Spread | None, unit: str = "") -> str:
    """Format a measurement as its median, with its range if values differ."""
    if spread is None:
        return ""
    text = f"{format_number(spread.median)} {unit}".rstrip()
    return (
        text if spread.low == spread.high else f"{text} ({format_number(spread.low)} to {format_number(spread.high)})"
    )


def format_number(value: float) -> str:
    """Format a number with three significant digits, or from 100 as an integer."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"

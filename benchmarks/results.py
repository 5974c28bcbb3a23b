"""The results: rows with a goal each, `results.json`, and the same as the table in the README."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, computed_field

from benchmarks.timing import Measured, Spread
from pipelines.generate import fill

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results.json"
README = FOLDER / "README.md"


class Direction(StrEnum):
    """Which side of the goal is good."""

    AT_MOST = "<="
    AT_LEAST = ">="


class Goal(BaseModel):
    """What a ratio is to come to.

    Attributes:
        direction: Which side is good.
        value: The bound, which is good as well.
    """

    model_config = ConfigDict(frozen=True)

    direction: Direction
    value: float

    def is_reached(self, ratio: float) -> bool:
        """Tell whether a ratio is good."""
        return ratio <= self.value if self.direction is Direction.AT_MOST else ratio >= self.value

    def __str__(self) -> str:
        return f"{self.direction} {self.value:g}"


class Row(BaseModel):
    """One comparison at one size.

    Attributes:
        name: What is measured.
        size: On how much.
        unit: Of the three values that follow.
        ours: What this project comes to.
        reference: What the reference system's way comes to; None where it is not what we are compared with.
        limit: What no way could beat on these cores; None where it is not what we are compared with.
        ratio: Ours over the one that the goal is about, round by round, or what `how` has in its place.
        goal: What the ratio is to come to.
        how: How it was measured, in one sentence.
        beside: What else was counted, as bytes read.
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
    beside: dict[str, str] = {}

    @computed_field  # type: ignore[prop-decorator]  # as pydantic documents it
    @property
    def reached(self) -> bool:
        """Whether the median of the ratio is good."""
        return self.goal.is_reached(self.ratio.median)


class Against(StrEnum):
    """Which contender a goal is about."""

    REFERENCE = "reference"
    LIMIT = "limit"


OURS = "ours"


def make_row(
    measured: Measured,
    against: Against,
    *,
    name: str,
    size: str,
    unit: str,
    goal: Goal,
    how: str,
    beside: dict[str, str] | None = None,
) -> Row:
    """Return the row of a measurement whose contenders are named `ours`, and `reference` or `limit` or both.

    Args:
        measured: What they came to.
        against: Whom ours is divided by.
        name: What is measured.
        size: On how much.
        unit: Of the values.
        goal: What the ratio is to come to.
        how: How it was measured.
        beside: What else was counted.
    """
    found = {key: measured.spread(key) if key in measured.values else None for key in Against}
    return Row(
        name=name,
        size=size,
        unit=unit,
        ours=measured.spread(OURS),
        reference=found[Against.REFERENCE],
        limit=found[Against.LIMIT],
        ratio=measured.ratio(OURS, against),
        goal=goal,
        how=how,
        beside=beside or {},
    )


class Machine(BaseModel):
    """What it was measured on.

    Attributes:
        cores: Cores that the benchmarks may use.
        memory_gib: Memory of the machine.
    """

    cores: int
    memory_gib: float

    @classmethod
    def this(cls) -> Self:
        """Return this machine."""
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return cls(cores=len(os.sched_getaffinity(0)), memory_gib=round(memory / 2**30, 1))


class Results(BaseModel):
    """All that a run of the benchmarks found.

    Attributes:
        machine: What it was measured on.
        seconds: How long the whole run took.
        rows: The comparisons, in the order of the design.
        failed: Figures that could not be measured, with the kind of the error.
    """

    machine: Machine
    seconds: float
    rows: list[Row]
    failed: dict[str, str] = {}

    def write(self, results: Path = RESULTS, readme: Path = README) -> None:
        """Write the results as JSON, and put them into the README."""
        results.write_text(self.model_dump_json(indent=2) + "\n")
        readme.write_text(fill(readme.read_text(), {"figures": self.table()}))

    @classmethod
    def read(cls, results: Path = RESULTS) -> Self:
        """Read what `write` wrote."""
        return cls.model_validate_json(results.read_text())

    def table(self) -> str:
        """Return the results in Markdown."""
        lines = [
            f"Measured on {self.machine.cores} cores with {self.machine.memory_gib:g} GiB of memory, in"
            f" {self.seconds / 60:.0f} minutes; medians, and in parentheses the least and the greatest.",
            "",
            "| what | on | ours | the reference's way | limit | ratio | goal | reached |",
            "|---|---|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {row.name} | {row.size} | {show(row.ours, row.unit)} | {show(row.reference, row.unit)} |"
            f" {show(row.limit, row.unit)} | {show(row.ratio)} | {row.goal} | {'yes' if row.reached else '**no**'} |"
            for row in self.rows
        ]
        lines += ["", *self._notes(), ""]
        return "\n".join(lines)

    def _notes(self) -> list[str]:
        notes = [f"- **{name}**: {how}" for name, how in {row.name: row.how for row in self.rows}.items()]
        for row in self.rows:
            if row.beside:
                counted = "; ".join(f"{key}: {value}" for key, value in row.beside.items())
                notes.append(f"- {row.name}, {row.size}: {counted}.")
        return notes + [f"- **{name}** could not be measured: {reason}" for name, reason in self.failed.items()]


def show(spread: Spread | None, unit: str = "") -> str:
    """Return a measurement as people read it: the median, and its range where there is one."""
    if spread is None:
        return ""
    text = f"{number(spread.median)} {unit}".rstrip()
    return text if spread.low == spread.high else f"{text} ({number(spread.low)} to {number(spread.high)})"


def number(value: float) -> str:
    """Return a number with three digits that count, and whole from 100 on."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"

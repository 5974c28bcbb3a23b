"""Timing: contenders take turns, so that what else the machine does meets all of them."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

from pydantic import BaseModel, ConfigDict

Contender = Callable[[], float]
T = TypeVar("T")


class Spread(BaseModel):
    """The repeats of one measurement.

    Attributes:
        median: Of them.
        low: The least.
        high: The greatest.
        repeats: How many there are.
    """

    model_config = ConfigDict(frozen=True)

    median: float
    low: float
    high: float
    repeats: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Return the spread of one value or more."""
        return cls(median=statistics.median(values), low=min(values), high=max(values), repeats=len(values))


@dataclass(frozen=True)
class Measured:
    """What contenders came to, a value for each round.

    Attributes:
        values: By contender, in the order of the rounds.
    """

    values: Mapping[str, Sequence[float]]

    def spread(self, name: str) -> Spread:
        """Return the repeats of a contender."""
        return Spread.of(self.values[name])

    def ratio(self, above: str, below: str) -> Spread:
        """Return one contender over another, round by round: what disturbs a whole round falls out."""
        return Spread.of([a / b for a, b in zip(self.values[above], self.values[below], strict=True)])


def interleave(contenders: Mapping[str, Contender], rounds: int) -> Measured:
    """Let contenders take turns; see `take_turns`."""
    return Measured(take_turns(contenders, rounds))


def take_turns(contenders: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """Return what contenders come to, by name, in the order of the rounds.

    Args:
        contenders: By name; each returns what it came to, as in images/s.
        rounds: How often each has its turn; every other round goes backwards.
    """
    values: dict[str, list[T]] = {name: [] for name in contenders}
    for number in range(rounds):
        order = list(contenders)
        for name in order if number % 2 == 0 else reversed(order):
            values[name].append(contenders[name]())
    return values


def seconds(work: Callable[[], object]) -> float:
    """Return how long some work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started

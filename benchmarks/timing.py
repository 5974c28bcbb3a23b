"""Timing of contenders that take turns.

So other load on the machine affects all contenders.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

from pydantic import BaseModel, ConfigDict

Contender = Callable[[], float]
T = TypeVar("T")


class Spread(BaseModel):
    """The spread of a repeated measurement.

    Attributes:
        median: Median of the values.
        low: Minimum of the values.
        high: Maximum of the values.
        repeats: Number of values.
    """

    model_config = ConfigDict(frozen=True)

    median: float
    low: float
    high: float
    repeats: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Return the spread of one or more values."""
        return cls(median=statistics.median(values), low=min(values), high=max(values), repeats=len(values))


@dataclass(frozen=True)
class Measurements:
    """The values of contenders, one for each round.

    Attributes:
        values: Values by contender, in the order of the rounds.
    """

    values: Mapping[str, Sequence[float]]

    def spread(self, name: str) -> Spread:
        """Return the spread of a contender's values."""
        return Spread.of(self.values[name])

    def ratio(self, numerator: str, denominator: str) -> Spread:
        """Divide one contender's values by another's, round by round.

        A load that lasts a whole round cancels out.

        Args:
            numerator: Name of the contender above the line.
            denominator: Name of the contender below the line.
        """
        return Spread.of([a / b for a, b in zip(self.values[numerator], self.values[denominator], strict=True)])


def interleave(contenders: Mapping[str, Contender], rounds: int) -> Measurements:
    """Let contenders take turns, and return their values. See `take_turns`."""
    return Measurements(take_turns(contenders, rounds))


def take_turns(contenders: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """Call each contender once in each round, and return the results by name.

    Args:
        contenders: Contenders by name. Each returns its result, e.g. images/s.
        rounds: Number of rounds. Every other round has the reverse order.
    """
    values: dict[str, list[T]] = {name: [] for name in contenders}
    for number in range(rounds):
        order = list(contenders)
        for name in order if number % 2 == 0 else reversed(order):
            values[name].append(contenders[name]())
    return values


def seconds(work: Callable[[], object]) -> float:
    """Call a function, and return its duration in seconds."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started

"""Whether a model finds the classes as often as they were in its training set.

A class that comes up far more or less often is either what comes in by now, or what the model gets wrong. Either way
someone should look.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

# The customary limit of the population stability index for "investigate" is 0.25 (N. Siddiqi, Credit Risk Scorecards,
# 2006). For small differences that index is 8 ln 2 times the divergence in bits, so the limits are the same.
DIVERGENCE_LIMIT = 0.05
# A divergence counts if chance alone gives as much once in so many times.
_CHANCE = 100
_DRAWS = 1999

_Shares = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ClassShares:
    """The classes that a model predicted, beside those of its training set.

    Attributes:
        predicted: Images by predicted class id.
        trained: Images of the training set by class id.
    """

    predicted: Mapping[int, int]
    trained: Mapping[int, int]

    @cached_property
    def labels(self) -> list[int]:
        """Class ids on either side, those whose share differs most first."""
        return sorted(
            self.predicted.keys() | self.trained.keys(),
            key=lambda label: (-abs(self.predicted_share(label) - self.trained_share(label)), label),
        )

    def predicted_share(self, label: int) -> float:
        """Return the part of the predictions that are of a class, 0..1."""
        return self.predicted.get(label, 0) / sum(self.predicted.values())

    def trained_share(self, label: int) -> float:
        """Return the part of the training set that is of a class, 0..1."""
        return self.trained.get(label, 0) / sum(self.trained.values())

    @cached_property
    def divergence(self) -> float:
        """The Jensen-Shannon divergence of the shares in bits: 0 if they are equal, 1 if no class is on both sides.

        J. Lin, Divergence measures based on the Shannon entropy, IEEE Transactions on Information Theory 37 (1991).
        """
        return float(_divergence(*(counts / counts.sum() for counts in self._counts)))

    @cached_property
    def chance(self) -> float:
        """The divergence in bits that one in a hundred samples of these sizes has, if both are of the same images.

        Few images of many classes diverge by chance, so the limit alone would warn for nothing. By simulation from the
        shares of both together: B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap (1993), chapter 16.
        """
        predicted, trained = self._counts
        # The same figures for the same images.
        random = np.random.default_rng(0)
        together = (predicted + trained) / (predicted + trained).sum()
        draws = [random.multinomial(int(counts.sum()), together, _DRAWS) / counts.sum() for counts in self._counts]
        return float(np.quantile(_divergence(*draws), 1 - 1 / _CHANCE))

    @property
    def part(self) -> bool:
        """Whether the divergence is above the limit, and more than chance would give."""
        return self.divergence > max(DIVERGENCE_LIMIT, self.chance)

    @cached_property
    def _counts(self) -> tuple[_Shares, _Shares]:
        predicted, trained = (
            np.array([counts.get(label, 0) for label in self.labels], np.float64)
            for counts in (self.predicted, self.trained)
        )
        return predicted, trained


def _divergence(first: _Shares, second: _Shares) -> _Shares:
    """Return the divergence of shares along the last axis, in bits."""
    middle = (first + second) / 2
    total = np.zeros(first.shape[:-1])
    for shares in (first, second):
        ratio = np.divide(shares, middle, out=np.ones_like(shares), where=shares > 0)
        total = total + (shares * np.log2(ratio)).sum(axis=-1) / 2
    return total

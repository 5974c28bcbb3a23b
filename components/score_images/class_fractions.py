"""Compare the fractions of predicted classes with those of the training set.

A large difference has two possible causes: different images arrive, or the model is wrong. A person has to check which.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

# A population stability index of 0.25 is the customary limit for "investigate" (N. Siddiqi, Credit Risk Scorecards,
# 2006). For small differences that index is 8 ln 2 times the divergence in bits, which gives about this limit.
DIVERGENCE_LIMIT = 0.05
# Probability that chance alone exceeds `chance_divergence`.
_SIGNIFICANCE = 0.01
_SIMULATIONS = 1999

_Fractions = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ClassFractions:
    """Fractions of the classes among a model's predictions and in its training set.

    Attributes:
        predicted: Number of images by predicted class id.
        trained: Number of images of the training set by class id.
    """

    predicted: Mapping[int, int]
    trained: Mapping[int, int]

    @cached_property
    def labels(self) -> list[int]:
        """Class ids of both sides, largest difference of fractions first."""
        return sorted(
            self.predicted.keys() | self.trained.keys(),
            key=lambda label: (-abs(self.predicted_fraction(label) - self.trained_fraction(label)), label),
        )

    def predicted_fraction(self, label: int) -> float:
        """Return the fraction of the predictions that are of a class, 0..1."""
        return self.predicted.get(label, 0) / sum(self.predicted.values())

    def trained_fraction(self, label: int) -> float:
        """Return the fraction of the training set that is of a class, 0..1."""
        return self.trained.get(label, 0) / sum(self.trained.values())

    @cached_property
    def divergence(self) -> float:
        """Jensen-Shannon divergence of the fractions in bits, 0..1.

        The value is 0 if all fractions are equal, and 1 if no class is on both sides.

        J. Lin, Divergence measures based on the Shannon entropy, IEEE Transactions on Information Theory 37 (1991).
        """
        return float(_divergence(*(counts / counts.sum() for counts in self._counts)))

    @cached_property
    def chance_divergence(self) -> float:
        """Divergence in bits that chance alone exceeds with a probability of 1 %.

        Chance means two random samples of these sizes from the same images.

        Samples of few images and many classes diverge by chance, and a fixed limit alone would cause false alarms. The
        value comes from simulations with the pooled fractions: B. Efron and R. J. Tibshirani, An Introduction to the
        Bootstrap (1993), chapter 16.
        """
        predicted, trained = self._counts
        # A fixed seed, so that a repeated run reports the same values.
        random = np.random.default_rng(0)
        pooled = (predicted + trained) / (predicted + trained).sum()
        samples = [
            random.multinomial(int(counts.sum()), pooled, _SIMULATIONS) / counts.sum() for counts in self._counts
        ]
        return float(np.quantile(_divergence(*samples), 1 - _SIGNIFICANCE))

    @property
    def diverges(self) -> bool:
        """Whether the divergence exceeds both the limit and what chance explains."""
        return self.divergence > max(DIVERGENCE_LIMIT, self.chance_divergence)

    @cached_property
    def _counts(self) -> tuple[_Fractions, _Fractions]:
        predicted, trained = (
            np.array([counts.get(label, 0) for label in self.labels], np.float64)
            for counts in (self.predicted, self.trained)
        )
        return predicted, trained


def _divergence(first: _Fractions, second: _Fractions) -> _Fractions:
    """Return the Jensen-Shannon divergence of fractions along the last axis, in bits."""
    middle = (first + second) / 2
    total = np.zeros(first.shape[:-1])
    for fractions in (first, second):
        ratio = np.divide(fractions, middle, out=np.ones_like(fractions), where=fractions > 0)
        total = total + (fractions * np.log2(ratio)).sum(axis=-1) / 2
    return total

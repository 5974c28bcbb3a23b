"""Exact paired tests of two models, their power, and Holm's correction for many tests."""

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtrc

from components.intervals import gain_interval

# Tolerance for rounding, because a p-value can equal its level exactly, e.g. 0.5.
ROUNDING = 1e-9


def paired_p_values(favorable: ArrayLike, unfavorable: ArrayLike) -> NDArray[np.float64]:
    """Return p-values of exact one-sided paired tests (sign test, exact McNemar test).

    The tests use only the images that exactly one of two models predicts correctly. Null hypothesis: each such image
    favors either model with probability 0.5.

    Args:
        favorable: Images that support the alternative, one number for each test, 0 or more. For "the challenger is
            worse" these are the images that only the champion predicts correctly.
        unfavorable: Images that contradict the alternative, 0 or more, of the same shape.

    Returns:
        Probability of at least as many favorable images under the null hypothesis, 0..1, of the same shape. It is 1 if
        no image is favorable.
    """
    supporting = np.asarray(favorable, dtype=np.int64)
    p_values: NDArray[np.float64] = bdtrc(supporting - 1, supporting + np.asarray(unfavorable, dtype=np.int64), 0.5)
    return p_values


class GainTest(NamedTuple):
    """Test of a challenger's gain over the champion.

    Attributes:
        p_value: P-value of the exact one-sided paired test of a gain above 0, 0..1.
        low: Lower bound of the gain, -1..1. It is above 0 only if the exact test is significant.
        passed: Whether the gain significantly exceeds the minimum.
    """

    p_value: float
    low: float
    passed: bool


def compare_gain(won: int, lost: int, total: int, minimum: float, confidence: float) -> GainTest:
    """Test whether the challenger's gain exceeds a minimum.

    A minimum of 0 needs the exact test only. There is no exact test of this kind for other minimums. For them, the
    lower bound of `gain_interval` decides, limited by the exact test: a gain that is not significantly above 0 never
    exceeds a positive minimum, and a gain that is significantly above 0 always exceeds a negative one.

    Args:
        won: Number of images that only the challenger predicts correctly.
        lost: Number of images that only the champion predicts correctly.
        total: Number of images, at least 1.
        minimum: Gain that the challenger must exceed, -1..1.
        confidence: One-sided confidence, from 0.5 to below 1.
    """
    p_value = float(paired_p_values(won, lost))
    significant = p_value <= 1 - confidence + ROUNDING
    # The interval is two-sided. At a confidence of 2c - 1, a probability of 1 - c is below its lower end.
    low = gain_interval(won, lost, total, 2 * confidence - 1).low
    low = max(low, 0.0) if significant else min(low, 0.0)
    return GainTest(p_value, low, low > minimum if minimum else significant)


def detectable_gain(images: int, discordance: float, level: float, power: float = 0.8) -> float | None:
    """Return the smallest gain that a one-sided paired test detects with a given probability.

    The formula of R. J. Connor, Sample size for testing differences in proportions for the paired-sample design,
    Biometrics 43 (1987), solved for the difference. It is the normal approximation of the exact test.

    Args:
        images: Number of images, at least 1.
        discordance: Fraction of the images that exactly one of the models predicts correctly, 0..1.
        level: Significance level of the test, above 0 and at most 0.5.
        power: Probability of detection, from 0.5 to below 1.

    Returns:
        The gain, 0..1; None if no gain is detectable, because a gain can't exceed the discordance.
    """
    error, success = NormalDist().inv_cdf(1 - level), NormalDist().inv_cdf(power)
    squared = images + success**2 - error**2
    if squared < 0:
        return None
    gain = math.sqrt(discordance) * (math.sqrt(images) * error + success * math.sqrt(squared)) / (images + success**2)
    return gain if 0 < gain <= discordance else None


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Correct p-values for the number of tests, by Holm's step-down method.

    Reject each null hypothesis whose corrected value is at most a level. Then the probability of any false rejection
    is at most that level, even if the tests depend on each other: S. Holm, A simple sequentially rejective multiple
    test procedure, Scandinavian Journal of Statistics 6 (1979).

    Args:
        p_values: One value for each test, 0..1, of shape (tests,).

    Returns:
        The corrected values, 0..1, in the same order.
    """
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values)
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(1, np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)))
    return corrected

"""Confidence intervals of a fraction, and of the difference of two fractions that were counted on the same sample."""

import math
from statistics import NormalDist
from typing import NamedTuple


class Interval(NamedTuple):
    """A confidence interval.

    Attributes:
        low: Its lower end.
        high: Its upper end.
    """

    low: float
    high: float


def fraction_interval(hits: int, total: int, confidence: float = 0.95) -> Interval:
    """Return the confidence interval of a fraction, within 0..1.

    The interval is valid for fractions of 0 and 1, too.

    Wilson's score interval: E. B. Wilson, Probable inference, the law of succession, and statistical inference, Journal
    of the American Statistical Association 22 (1927). Recommended by L. D. Brown, T. T. Cai and A. DasGupta, Interval
    estimation for a binomial proportion, Statistical Science 16 (2001).

    Args:
        hits: Number of hits in the sample.
        total: Size of the sample, at least 1.
        confidence: Two-sided confidence, 0..1.
    """
    squared = _deviations(confidence) ** 2
    fraction = hits / total
    middle = fraction + squared / (2 * total)
    half = math.sqrt(squared * (fraction * (1 - fraction) / total + squared / (4 * total**2)))
    scale = 1 + squared / total
    return Interval(max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale))


def gain_interval(won: int, lost: int, total: int, confidence: float = 0.95) -> Interval:
    """Return the confidence interval of the difference of two fractions, within -1..1.

    Both fractions are of the same sample. Items that count for both or for neither cancel out.

    The adjusted Wald interval of D. G. Bonett and R. M. Price, Adjusted Wald confidence interval for a difference of
    binomial proportions based on paired data, Journal of Educational and Behavioral Statistics 37 (2012). Recommended
    by M. W. Fagerland, S. Lydersen and P. Laake, Recommended tests and confidence intervals for paired binomial
    proportions, Statistics in Medicine 33 (2014).

    Args:
        won: Number of items that count for the first fraction only.
        lost: Number of items that count for the second fraction only.
        total: Size of the sample, at least 1.
        confidence: Two-sided confidence, 0..1; at 0 the interval is a point.
    """
    size = total + 2
    first, second = (won + 1) / size, (lost + 1) / size
    gain = first - second
    half = _deviations(confidence) * math.sqrt((first + second - gain**2) / size)
    return Interval(max(-1.0, gain - half), min(1.0, gain + half))


def _deviations(confidence: float) -> float:
    """Return the half-width of the central normal interval, in standard deviations."""
    return NormalDist().inv_cdf((1 + confidence) / 2)

"""How sure a share is that was counted on a sample, and the difference of two shares on the same sample."""

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


def share_interval(hits: int, total: int, confidence: float = 0.95) -> Interval:
    """Return the interval of a share, within 0..1, also where there are no hits or nothing else.

    Wilson's score interval: E. B. Wilson, Probable inference, the law of succession, and statistical inference, Journal
    of the American Statistical Association 22 (1927). Recommended by L. D. Brown, T. T. Cai and A. DasGupta, Interval
    estimation for a binomial proportion, Statistical Science 16 (2001).

    Args:
        hits: How many of the sample.
        total: Size of the sample, 1 at least.
        confidence: Of both ends together, 0..1.
    """
    squared = _deviations(confidence) ** 2
    share = hits / total
    middle = share + squared / (2 * total)
    half = math.sqrt(squared * (share * (1 - share) / total + squared / (4 * total**2)))
    scale = 1 + squared / total
    return Interval(max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale))


def gain_interval(won: int, lost: int, total: int, confidence: float = 0.95) -> Interval:
    """Return the interval of the difference of two shares that were counted on the same sample, within -1..1.

    What both or neither of them hit tells nothing of the difference, and cancels out.

    The adjusted Wald interval of D. G. Bonett and R. M. Price, Adjusted Wald confidence interval for a difference of
    binomial proportions based on paired data, Journal of Educational and Behavioral Statistics 37 (2012). Recommended
    by M. W. Fagerland, S. Lydersen and P. Laake, Recommended tests and confidence intervals for paired binomial
    proportions, Statistics in Medicine 33 (2014).

    Args:
        won: How many of the sample the first alone hit.
        lost: How many of the sample the second alone hit.
        total: Size of the sample, 1 at least.
        confidence: Of both ends together, 0..1; at 0 they meet.
    """
    size = total + 2
    first, second = (won + 1) / size, (lost + 1) / size
    gain = first - second
    half = _deviations(confidence) * math.sqrt((first + second - gain**2) / size)
    return Interval(max(-1.0, gain - half), min(1.0, gain + half))


def _deviations(confidence: float) -> float:
    """Return how many standard deviations to both sides hold so much of the normal distribution."""
    return NormalDist().inv_cdf((1 + confidence) / 2)

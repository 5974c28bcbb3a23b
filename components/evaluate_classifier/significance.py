"""Exact paired tests of two models, and Holm's correction for many tests."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtrc


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

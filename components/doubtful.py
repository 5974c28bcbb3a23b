"""When an image is doubtful: its best score is under a threshold, which scoring tells and the export goes by."""

from pyspark.sql import Column
from pyspark.sql import functions as F

DEFAULT_THRESHOLD = 0.95


def is_doubtful(score: str, threshold: float) -> Column:
    """Return whether an image is doubtful.

    Args:
        score: Column of the best score, a float, 0..1.
        threshold: Best score under which it is, 0..1.
    """
    # As the scores are: a score of 0.95 is not under a threshold of 0.95.
    return F.col(score) < F.lit(threshold).cast("float")

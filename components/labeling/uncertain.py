"""The definition of an uncertain prediction, for scoring and for the export for labeling."""

from pyspark.sql import Column
from pyspark.sql import functions as F


def is_uncertain(score: str, threshold: float) -> Column:
    """Return the condition that a prediction is uncertain: its score is below a threshold.

    Args:
        score: Name of the column with the score, a float, 0..1.
        threshold: Score below which a prediction is uncertain, 0..1.
    """
    # Scores are floats. The double 0.95 is above the float 0.95: without the cast, a score of 0.95 would be uncertain.
    return F.col(score) < F.lit(threshold).cast("float")

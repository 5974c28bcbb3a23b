"""A classifier's output for one image. It needs no TensorFlow."""

from typing import NamedTuple


class Prediction(NamedTuple):
    """A classifier's output for one image.

    If the image can't be scored, all fields but `error` are None.

    Attributes:
        label: Id of the class with the top probability.
        score: The top probability, 0..1.
        margin: The top probability minus the second highest, 0..1.
        entropy: Entropy of the class probabilities in nats, 0 or more; 0 if one class has probability 1.
        error: Reason why the image can't be scored, e.g. because it can't be decoded; None if it can.
    """

    label: int | None
    score: float | None
    margin: float | None
    entropy: float | None
    error: str | None


def failed_prediction(error: str) -> Prediction:
    """Return the prediction for an image that can't be scored."""
    return Prediction(None, None, None, None, error)

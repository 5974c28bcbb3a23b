"""A trained classifier, as its SavedModel answers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from components.images.tensorflow_without_keras import tf
from components.images.verdict import decoding_error


class Prediction(NamedTuple):
    """What a classifier says about one image. An image that can't be decoded has an `error` and nothing else.

    Attributes:
        label: Class id of the best score.
        score: The best score, 0..1.
        margin: The best score minus the second best.
        entropy: Entropy of the scores in nats, 0 where the classifier is sure.
        error: Why there is no answer.
    """

    label: int | None
    score: float | None
    margin: float | None
    entropy: float | None
    error: str | None


class Classifier:
    """A SavedModel that takes the bytes of image files and answers with class ids and scores.

    Attributes:
        labels: Class ids, int64, in the order of the scores.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._serve = model.signatures["serving_default"]
        self.labels: npt.NDArray[np.int64] = model.labels.numpy()

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Load a classifier. Check its digest first.

        Args:
            folder: The SavedModel, as in `<logged model>/tf2model`.
        """
        return cls(tf.saved_model.load(str(folder)))

    def scores(self, contents: Sequence[bytes]) -> npt.NDArray[np.float32]:
        """Return all class scores, float32 of images x classes.

        Args:
            contents: Image files.

        Raises:
            tf.errors.InvalidArgumentError: One of them can't be decoded.
        """
        answer = self._serve(content=tf.constant(list(contents), tf.string, (len(contents),)))
        scores: npt.NDArray[np.float32] = answer["scores"].numpy()
        return scores

    def predict(self, contents: Sequence[bytes]) -> list[Prediction]:
        """Return a prediction for each image file, in their order.

        An image that can't be decoded gets an error; any other failure, as of memory, is raised.

        Args:
            contents: Image files.
        """
        if not contents:
            return []
        try:
            return [_prediction(scores, self.labels) for scores in self.scores(contents)]
        except tf.errors.InvalidArgumentError:
            errors = [decoding_error(content) for content in contents]
            if not any(errors):
                raise
        readable = iter(
            self.predict([content for content, error in zip(contents, errors, strict=True) if error is None])
        )
        return [next(readable) if error is None else Prediction(None, None, None, None, error) for error in errors]


def _prediction(scores: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> Prediction:
    best = int(scores.argmax())
    exact = scores.astype(np.float64)
    others = np.delete(exact, best)
    positive = exact[exact > 0]
    return Prediction(
        label=int(labels[best]),
        score=float(exact[best]),
        margin=float(exact[best] - others.max()) if others.size else float(exact[best]),
        entropy=float(-(positive * np.log(positive)).sum()) + 0.0,
        error=None,
    )

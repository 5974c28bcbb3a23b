"""Load a trained classifier's SavedModel, and predict the classes of images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from components.preprocessing.prediction import Prediction, failed_prediction
from components.preprocessing.tensorflow_without_keras import tf
from components.preprocessing.validation import decoding_error


class Classifier:
    """A SavedModel that maps the bytes of image files to class probabilities.

    Attributes:
        labels: Class ids in the order of the probabilities, int64 of shape (classes,).
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._serve = model.signatures["serving_default"]
        self.labels: npt.NDArray[np.int64] = model.labels.numpy()

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Load a classifier from a SavedModel whose digest the caller has verified.

        Args:
            folder: Folder of the SavedModel, e.g. `<logged model>/tf2model`.
        """
        return cls(tf.saved_model.load(str(folder)))

    def scores(self, contents: Sequence[bytes]) -> npt.NDArray[np.float32]:
        """Return the class probabilities of images, float32 of shape (images, classes).

        Args:
            contents: Image files.

        Raises:
            tf.errors.InvalidArgumentError: At least one image can't be decoded.
        """
        outputs = self._serve(content=tf.constant(list(contents), tf.string, (len(contents),)))
        scores: npt.NDArray[np.float32] = outputs["scores"].numpy()
        return scores

    def predict(self, contents: Sequence[bytes]) -> list[Prediction]:
        """Return a prediction for each image file, in the same order.

        The prediction of an image that can't be decoded has an error. Other failures, e.g. of memory, are raised.

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
        return [next(readable) if error is None else failed_prediction(error) for error in errors]


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

"""A classifier in a child process: an image that crashes or stops TensorFlow does not end its caller.

The child has no memory limit: it would have to be above what the model needs, which only the model knows. Ingest limits
what an image takes, callers limit the size of a batch, and the kernel kills the child before its parent.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from components.child_process import ChildDied, ChildProcess
from components.preprocessing.prediction import Prediction, failed_prediction

Predict = Callable[[list[bytes]], list[Prediction]]

_SECONDS_PER_IMAGE = 60.0
_MAXIMUM_SECONDS = 600.0

# A GIF of one white pixel.
_PROBE = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\xff\xff\xff,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)


class ClassifierProcess:
    """A SavedModel in a child process that predicts the classes of images."""

    def __init__(self, load: Callable[[], Predict], fork: bool, seconds: float = _SECONDS_PER_IMAGE) -> None:
        """Describe the process; nothing is started yet.

        Args:
            load: Loads the model in the child, and returns a function as `Classifier.predict`.
            fork: Whether the child is a fork of this process, which must have done nothing with TensorFlow but import
                it; see `ChildProcess`.
            seconds: Time limit for an image. A batch has as much for each of its images, but at most 10 minutes.
        """
        self._child: ChildProcess[list[bytes], list[Prediction]] = ChildProcess(load, fork=fork)
        self._seconds = seconds

    @classmethod
    def of(cls, folder: Path, fork: bool) -> Self:
        """Describe the process of a SavedModel whose digest the caller has verified.

        Args:
            folder: Folder of the SavedModel. It must exist as long as the process.
            fork: See `ClassifierProcess`.
        """
        return cls(partial(load_classifier, folder), fork)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the child."""
        self._child.close()

    @property
    def pid(self) -> int | None:
        """Id of the running child; None before the first prediction and after a death."""
        return self._child.pid

    def predict(self, contents: Sequence[bytes]) -> list[Prediction]:
        """Return a prediction for each image file, in the same order.

        If the child dies, the images are scored one by one, so the error concerns only the image that it died of.

        Args:
            contents: Image files.

        Raises:
            RuntimeError: The child dies before it has scored anything.
        """
        if not contents:
            return []
        try:
            return self._child.call(list(contents), min(self._seconds * len(contents), _MAXIMUM_SECONDS))
        except ChildDied as death:
            if len(contents) == 1:
                return [failed_prediction(f"scoring {death.reason}")]
        return [prediction for content in contents for prediction in self.predict([content])]


def load_classifier(folder: Path) -> Predict:
    """Load a SavedModel, and predict the class of one small image.

    A model that fails for any image fails here. So it ends its caller, in place of failing for each image.

    Args:
        folder: Folder of the SavedModel.

    Returns:
        A function as `Classifier.predict`, which raises MemoryError if memory is short.
    """
    from components.preprocessing.classifier import Classifier
    from components.preprocessing.tensorflow_without_keras import tf

    classifier = Classifier.load(folder)
    classifier.predict([_PROBE])

    def predict(contents: list[bytes]) -> list[Prediction]:
        try:
            return classifier.predict(contents)
        except tf.errors.ResourceExhaustedError as error:
            raise MemoryError from error

    return predict

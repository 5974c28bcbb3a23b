"""The worker of a training, with each batch that it trains or validates on written down as it passes.

Each rank writes `fed-<split>-<rank>.jsonl` into the run's folder: a line per batch, with the SHA-256 of each row's
tensor and its weight.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import horovod.tensorflow as hvd
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.build_training_set.training_set import SplitName
from components.train_classifier import worker
from components.train_classifier.request import TrainingRequest
from components.train_classifier.steps import Feeds


def overhear(folder: Path) -> None:
    """Have the worker's batches written down."""
    in_steps = Feeds._in_steps

    def recording_in_steps(self: Feeds, rows: tf.data.Dataset, split: SplitName) -> tf.data.Dataset:
        file = folder / f"fed-{split.value}-{hvd.rank()}.jsonl"

        def record(images: npt.NDArray[np.float32], weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
            digests = [hashlib.sha256(image.tobytes()).hexdigest() for image in images]
            with file.open("a") as lines:
                lines.write(json.dumps(list(zip(digests, weights.tolist(), strict=True))) + "\n")
            return weights

        def pass_on(images: tf.Tensor, indices: tf.Tensor, weights: tf.Tensor) -> tuple[Any, Any, Any]:
            recorded = tf.numpy_function(record, (images, weights), tf.float32)
            return images, indices, tf.ensure_shape(recorded, weights.shape)

        steps = in_steps(self, rows, split)
        assert steps.options().autotune.enabled is False, "the end of a pass would wait for tf.data's tuner"
        # In batches again, because autologging asks the last stage for its batch size.
        return steps.map(pass_on).unbatch().batch(self.batch_size, drop_remainder=True)

    Feeds._in_steps = recording_in_steps  # type: ignore[method-assign]


if __name__ == "__main__":
    overhear(Path(TrainingRequest.read(sys.argv[1]).run_directory.removeprefix("file://")))
    worker.main(sys.argv[1:])

"""The worker of a training, which also records each batch.

Each rank writes `fed-<split>-<rank>.jsonl` to the run's folder: a line per batch, with the SHA-256 of each row's tensor
and its weight.
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

from components.storage.files import Files
from components.train_classifier.rank import worker
from components.train_classifier.rank.steps import Feeds
from components.train_classifier.request import TrainingRequest
from components.training_set.manifest import SplitName


def record_batches(folder: Path) -> None:
    """Patch the worker so that it records its batches in a folder."""
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
        assert steps.options().autotune.enabled is False, "the tuner of tf.data would delay the end of a pass"
        # Batched again, because autologging reads the batch size of the last stage.
        return steps.map(pass_on).unbatch().batch(self.batch_size, drop_remainder=True)

    Feeds._in_steps = recording_in_steps  # type: ignore[method-assign]


if __name__ == "__main__":
    record_batches(Path(TrainingRequest.read(sys.argv[1], Files()).run_directory.removeprefix("file://")))
    worker.main(sys.argv[1:])

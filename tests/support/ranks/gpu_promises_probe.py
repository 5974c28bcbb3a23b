"""GPU behavior of ranks, as far as CPUs can show it. Two ranks run this in the trainer environment.

Rank 0 writes the results to `found.json` in the run's folder.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

import horovod.tensorflow as hvd
import numpy as np
import tensorflow as tf
from tensorflow import keras

from components.storage import uri
from components.storage.files import Files
from components.train_classifier.rank.feature_files import features_folder
from components.train_classifier.rank.features import FeatureFeed, FeatureSource
from components.train_classifier.rank.gpus import FLOAT32, TF32
from components.train_classifier.rank.same_weights import SameWeights
from components.train_classifier.rank.shards import Shard
from components.train_classifier.rank.state import TrainingState, WarmUp
from components.train_classifier.request import TrainingRequest
from components.training_set.manifest import SplitName, TrainingSet

SIZE = 32


def small_model() -> keras.Model:
    """Return a network with few layers."""
    return keras.Sequential(
        [keras.Input((SIZE, SIZE, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)]
    )


def optimizer_compiles() -> bool:
    """Return whether the optimizer compiles its update with XLA if TensorFlow lists a GPU."""
    # Keras calls this function to list GPUs.
    config = tf.compat.v2.config
    listed = config.list_physical_devices
    config.list_physical_devices = lambda kind=None: ["GPU:0"] if kind == "GPU" else listed(kind)
    try:
        plain = keras.optimizers.Nadam()
        assert plain.jit_compile, "the fake GPU has no effect"
        model = small_model()
        TrainingState(model, WarmUp(1, 1, 0.001))
        return bool(model.optimizer.jit_compile)
    finally:
        config.list_physical_devices = listed


def features_in_tensors(training_set: TrainingSet, folder: str) -> list[list[int]]:
    """Return the shapes of the features that a feed's dataset holds as tensors."""
    class_ids = [each.label for each in training_set.classes]
    source = FeatureSource(small_model(), uri.join(folder, "features"), SIZE, class_ids, batch_size=2, threads=1)
    shard = Shard.of(training_set, SplitName.TRAIN, rank=0, ranks=1, files=Files())
    feed = FeatureFeed(shard, source, lambda: None)
    held = [each for each in constants(feed.dataset()) if each.dtype == tf.float32 and each.shape.rank == 2]
    return [each.shape.as_list() for each in held]


def constants(dataset: tf.data.Dataset) -> Iterator[tf.Tensor]:
    """Yield the tensors that the functions of a dataset close over."""
    if hasattr(dataset, "_map_func"):
        yield from dataset._map_func.function.captured_inputs
    for each in dataset._inputs():
        yield from constants(each)


def after_an_epoch(difference: float) -> dict[str, Any]:
    """Change rank 1's weights by a relative difference, end an epoch, and return each rank's error and weights."""
    model = small_model()
    model.set_weights([np.ones_like(array) for array in model.get_weights()])
    if hvd.rank() == 1:
        model.set_weights([array * (1 + difference) for array in model.get_weights()])
    callback = SameWeights()
    callback.set_model(model)
    try:
        callback.on_epoch_end(0)
        error = ""
    except RuntimeError as raised:
        error = str(raised)
    ends = hvd.allgather_object([error, *(float(array.mean()) for array in model.get_weights())])
    return {"errors": [end[0] for end in ends], "weights": [end[1:] for end in ends]}


def main(request_uri: str) -> None:
    """Run all checks, and write the results."""
    request = TrainingRequest.read(request_uri, Files())
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    hvd.init()
    ends = {name: after_an_epoch(difference) for name, difference in (("rounding", 1e-6), ("defect", 0.1))}
    if hvd.rank() != 0:
        return
    training_set = TrainingSet.read(request.training_set, Files())
    model = small_model()
    model.set_weights([np.ones_like(array) for array in model.get_weights()])
    found = {
        "compiles": optimizer_compiles(),
        "held": features_in_tensors(training_set, request.run_directory),
        "folders": {kind: features_folder("file:///features", model, SIZE, kind) for kind in (FLOAT32, TF32)},
        "ends": ends,
    }
    folder = uri.local_path(request.run_directory)
    assert folder is not None
    (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])

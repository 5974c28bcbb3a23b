"""Checks of the whole Xception in the trainer environment: a training step, and weights from files.

It writes the results to `found.json` beside the request.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import horovod.tensorflow as hvd
import tensorflow as tf
from tensorflow import keras

from components.errors import InputError
from components.parameters.training import IMAGENET
from components.storage import uri
from components.storage.files import Files
from components.train_classifier.rank.backbones import build_backbone, build_head, weights_digest
from components.train_classifier.rank.state import TrainingState, WarmUp
from components.train_classifier.request import TrainingRequest

CLASSES = 3
ENTRY, EXIT = "block1_conv1/kernel:0", "block14_sepconv2/pointwise_kernel:0"


def train_a_step(backbone: keras.Model, request: TrainingRequest) -> dict[str, Any]:
    """Train a network on two images, and return the loss and the changes of its first and last kernels."""
    backbone.trainable = True
    model = keras.Sequential([backbone, build_head(backbone.output_shape[-1], CLASSES, request.dropout)])
    TrainingState(model, WarmUp(1, request.ranks, request.learning_rate))
    kernels = {variable.name: variable for variable in backbone.trainable_variables}
    before = {name: kernels[name].numpy() for name in (ENTRY, EXIT)}
    images = tf.random.stateless_uniform((2, request.image_size, request.image_size, 3), (1, 2), maxval=255)
    loss = model.train_on_batch(images, tf.constant([0, 2]), tf.ones(2))[0]
    moved = {name: float(abs(kernels[name].numpy() - array).mean()) for name, array in before.items()}
    return {"loss": float(loss), "moved": moved, "parameters": backbone.count_params()}


def load_from_files(backbone: keras.Model, request: TrainingRequest, folder: Path) -> dict[str, Any]:
    """Save the weights of a network, and return the digests of loaded networks and the errors of wrong files."""
    (network,) = (layer for layer in backbone.layers if isinstance(layer, keras.Model))
    right, other, text = folder / "xception.h5", folder / "head.h5", folder / "text"
    # Keras expects its newer format for this name, but the file has the older one.
    renamed = folder / "head.weights.h5"
    network.save_weights(right)
    build_head(2, CLASSES, dropout=0).save_weights(other)
    shutil.copy(other, renamed)
    text.write_text("no weights")
    errors = {}
    for file in (other, renamed, text):
        try:
            build_backbone(request.with_weights_of(str(file), Files()), Files())
        except InputError as error:
            errors[file.name] = str(error)
    again = build_backbone(request.with_weights_of(str(right), Files()), Files())
    digests = {"saved": weights_digest(backbone), "loaded": weights_digest(again)}
    return {**digests, "random": weights_digest(build_backbone(request, Files())), "errors": errors}


def download_error(request: TrainingRequest) -> str:
    """Return the error of a download without network, which the test cuts off; empty if it succeeds."""
    try:
        build_backbone(request.model_copy(update={"weights": IMAGENET}), Files())
    except InputError as error:
        return str(error)
    return ""


def main(request_uri: str) -> None:
    """Run all checks, and write the results."""
    request = TrainingRequest.read(request_uri, Files())
    folder = uri.local_path(request.run_directory)
    assert folder is not None
    hvd.init()
    keras.utils.set_random_seed(request.seed)
    backbone = build_backbone(request, Files())
    files = load_from_files(backbone, request, folder)
    found = {"files": files, "step": train_a_step(backbone, request), "imagenet": download_error(request)}
    (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])

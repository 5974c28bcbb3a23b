"""The whole Xception, in the trainer environment: trained for a step, and with weights that come from a file.

Leaves `found.json` beside the request, with what it saw.
"""

import json
import sys
from pathlib import Path
from typing import Any

import horovod.tensorflow as hvd
import tensorflow as tf
from tensorflow import keras

from components.errors import InputError
from components.storage import uri
from components.train_classifier.backbones import build_backbone, build_head, weights_digest
from components.train_classifier.request import TrainingRequest
from components.train_classifier.state import TrainingState

CLASSES = 3
ENTRY, EXIT = "block1_conv1/kernel:0", "block14_sepconv2/pointwise_kernel:0"


def train_a_step(backbone: keras.Model, request: TrainingRequest) -> dict[str, Any]:
    """Train all of a network on two images, and return the loss and what moved."""
    backbone.trainable = True
    model = keras.Sequential([backbone, build_head(backbone.output_shape[-1], CLASSES, request.dropout)])
    TrainingState(model, request.learning_rate)
    kernels = {variable.name: variable for variable in backbone.trainable_variables}
    before = {name: kernels[name].numpy() for name in (ENTRY, EXIT)}
    images = tf.random.stateless_uniform((2, request.image_size, request.image_size, 3), (1, 2), maxval=255)
    loss = model.train_on_batch(images, tf.constant([0, 2]), tf.ones(2))[0]
    moved = {name: float(abs(kernels[name].numpy() - array).mean()) for name, array in before.items()}
    return {"loss": float(loss), "moved": moved, "parameters": backbone.count_params()}


def take_from_files(backbone: keras.Model, request: TrainingRequest, folder: Path) -> dict[str, Any]:
    """Save the weights of a network, and return what networks are made of that file and of wrong ones."""
    (network,) = (layer for layer in backbone.layers if isinstance(layer, keras.Model))
    right, other, text = folder / "xception.h5", folder / "head.h5", folder / "text"
    network.save_weights(right)
    build_head(2, CLASSES, dropout=0).save_weights(other)
    text.write_text("no weights")
    told = {}
    for file in (other, text):
        try:
            build_backbone(request.model_copy(update={"weights": str(file)}))
        except InputError as error:
            told[file.name] = str(error)
    again = build_backbone(request.model_copy(update={"weights": str(right)}))
    digests = {"saved": weights_digest(backbone), "loaded": weights_digest(again)}
    return {**digests, "random": weights_digest(build_backbone(request)), "told": told}


def main(request_uri: str) -> None:
    """Look at everything."""
    request = TrainingRequest.read(request_uri)
    folder = uri.local_path(request.run_directory)
    assert folder is not None
    hvd.init()
    keras.utils.set_random_seed(request.seed)
    backbone = build_backbone(request)
    files = take_from_files(backbone, request, folder)
    found = {"files": files, "step": train_a_step(backbone, request)}
    (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])

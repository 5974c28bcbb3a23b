"""Classifiers with random weights, and their forward pass.

A classifier is logged like the model of a training.
"""

from collections.abc import Callable
from typing import Any

import horovod.tensorflow as hvd
import mlflow
import tensorflow as tf

from benchmarks.timing import seconds
from components.storage import uri
from components.storage.files import Files
from components.train_classifier.rank.backbones import build_backbone, build_head
from components.train_classifier.rank.export import ExportedClassifier
from components.train_classifier.rank.tracking import Tracking
from components.train_classifier.request import TrainingRequest
from components.training_set.manifest import TrainingSet

_BATCH = 32


def contenders(
    training_set: str, backbone: str, image_size: int, forward_images: int, tracking_uri: str, folder: str
) -> dict[str, Callable[[], Any]]:
    """Return the functions `log` and `limit`.

    `log` logs the classifier. `limit` returns the images/s of the forward pass of its networks.

    Args:
        training_set: URI of a training set with the classes.
        backbone: Name of the backbone. It gets random weights.
        image_size: Side of the backbone's input in pixels; 0 means the backbone's default.
        forward_images: Images per measurement of the forward pass. They are decoded and resized before.
        tracking_uri: MLflow's tracking URI.
        folder: Folder of the training's run.
    """
    hvd.init()
    members = TrainingSet.read(training_set, Files())
    request = TrainingRequest.make(
        Files(), training_set=training_set, backbone=backbone, weights="none", image_size=image_size,
        mlflow_tracking_uri=tracking_uri, experiment="benchmarks", run_directory=uri.normalize(folder, "folder"),
        features_directory="unused",
    )  # fmt: skip
    network = build_backbone(request, Files())
    head = build_head(network.output_shape[-1], len(members.classes), request.dropout)

    def log() -> dict[str, str]:
        with Tracking.open(request, members, resumed=False, files=Files()) as tracking:
            exported = ExportedClassifier(
                network, head, [image_class.label for image_class in members.classes], request.image_size
            )
            model_uri, digest = tracking.log_model(exported)
            # Otherwise MLflow also logs later fits in this process.
            mlflow.tensorflow.autolog(disable=True)
            return {"run_id": tracking.run_id, "model_uri": model_uri, "digest": digest}

    side = request.image_size
    images = tf.random.stateless_uniform((_BATCH, side, side, 3), (1, 2), maxval=255)
    forward = tf.function(lambda batch: head(network(batch, training=False), training=False))

    def limit() -> float:
        batches = max(1, forward_images // _BATCH)
        return batches * _BATCH / seconds(lambda: [forward(images).numpy() for _ in range(batches)])

    return {"log": log, "limit": limit}

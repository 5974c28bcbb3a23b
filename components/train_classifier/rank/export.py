"""The SavedModel of a trained classifier. It computes class ids and scores from image files."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow import keras

from components.preprocessing.lone_image import pair_lone_image
from components.preprocessing.preprocess import preprocess_batch


class ExportedClassifier(tf.Module):  # type: ignore[misc]
    """Preprocessing, backbone, head and class ids in one module.

    The functions of the module close over the networks. Because the networks are not attributes, the SavedModel
    contains no Keras objects, and loads with any version of Keras.

    Attributes:
        labels: Class ids in the order of the scores.

    Args:
        backbone: Network from images to features.
        head: Network from features to logits.
        class_ids: Class ids in the order of the logits.
        size: Side of the backbone's input, in pixels.
    """

    def __init__(self, backbone: keras.Model, head: keras.Model, class_ids: Sequence[int], size: int) -> None:
        super().__init__(name="classifier")
        self.labels = tf.Variable(list(class_ids), dtype=tf.int64, trainable=False, name="labels")
        self.parameters = [*backbone.variables, *head.variables]

        def serve(content: tf.Tensor) -> dict[str, tf.Tensor]:
            images = pair_lone_image(preprocess_batch(content, size))
            scores = tf.nn.softmax(head(backbone(images, training=False), training=False))[: tf.size(content)]
            best = tf.argmax(scores, axis=1)
            return {"label": tf.gather(self.labels, best), "score": tf.reduce_max(scores, axis=1), "scores": scores}

        def preprocess(content: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"images": preprocess_batch(content, size)}

        contents = tf.TensorSpec((None,), tf.string, name="content")
        self.serve = tf.function(serve, input_signature=[contents])
        self.preprocess = tf.function(preprocess, input_signature=[contents])

    @property
    def signatures(self) -> dict[str, Any]:
        """The SavedModel's signatures by name."""
        return {"serving_default": self.serve, "preprocess": self.preprocess}

    @tf.function(input_signature=[tf.TensorSpec(None, tf.string, name="content")])  # type: ignore[untyped-decorator]
    def __call__(self, content: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the outputs of `serving_default`.

        MLflow's wrapper passes a list, or an array of any shape.
        """
        outputs: dict[str, tf.Tensor] = self.serve(tf.reshape(content, (-1,)))
        return outputs

"""A callback that checks and restores equal weights on all ranks."""

import logging
from typing import Any

import horovod.tensorflow as hvd
import numpy as np
from tensorflow import keras

from components.train_classifier.rank.backbones import weights_digest
from components.train_classifier.rank.checkpoint import Arrays

logger = logging.getLogger(__name__)

# Relative difference that rounding can explain. GPUs of different models round updates differently, in the seventh
# digit. Ranks that miss an exchange of gradients differ in the first or second digit.
_ROUNDING = 1e-3


class SameWeights(keras.callbacks.Callback):  # type: ignore[misc]
    """Sets the weights of all ranks to those of rank 0 after each epoch.

    Weights that differ by more than rounding raise an error. The check runs after each epoch, so that a defect costs
    one epoch at most.
    """

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Compare the weights of all ranks, and copy those of rank 0 if they differ.

        Raises:
            RuntimeError: The weights differ by more than rounding.
        """
        if len(set(hvd.allgather_object(weights_digest(self.model)))) == 1:
            return
        own = self.model.get_weights()
        hvd.broadcast_variables(self.model.variables, root_rank=0)
        differences = hvd.allgather_object(relative_difference(own, self.model.get_weights()))
        largest = max(differences)
        if largest > _ROUNDING:
            raise RuntimeError(
                f"the weights of rank {differences.index(largest)} diverge from rank 0's after epoch {epoch + 1}:"
                f" relative difference {largest:.0e}, more than rounding explains. Report this as a bug."
            )
        if hvd.rank() == 0:
            logger.warning(
                "the ranks' weights differed by rounding (%.0e) after epoch %s; all ranks now have rank 0's",
                largest,
                epoch + 1,
            )


def relative_difference(arrays: Arrays, reference: Arrays) -> float:
    """Return the largest relative difference between arrays and their references.

    The relative difference of an array is the norm of its difference divided by the norm of its reference.

    Args:
        arrays: Weights of a rank.
        reference: Weights of rank 0, in the same order and of the same shapes.
    """
    return max(
        float(np.linalg.norm(array - other) / (np.linalg.norm(other) or 1.0))
        for array, other in zip(arrays, reference, strict=True)
    )

"""All that changes in training: the variables of the model and of the optimizer, the same on every rank."""

import horovod.tensorflow as hvd
import horovod.tensorflow.keras as hvd_keras
import tensorflow as tf
from tensorflow import keras

from components.train_classifier.callbacks import weighted_metrics
from components.train_classifier.checkpoint import Arrays, Checkpoint


class TrainingState:
    """The variables of a model and of its optimizer.

    Args:
        model: What is trained; it is compiled here.
        learning_rate: Nadam's.
    """

    def __init__(self, model: keras.Model, learning_rate: float) -> None:
        optimizer = hvd_keras.DistributedOptimizer(keras.optimizers.Nadam(learning_rate=learning_rate))
        # Horovod makes a graph function of this one, for which AutoGraph rewrites all of its Python in seconds, though
        # there is nothing for it to find. It is called in Keras' own graph function anyway.
        optimizer._allreduce_grads = optimizer._allreduce_grads.python_function
        optimizer.build(model.trainable_variables)
        # A row's gradient is divided by all rows of the step, and the ranks' are averaged: with rows of weight 0, each
        # image still has the same weight.
        model.compile(
            optimizer=optimizer,
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            weighted_metrics=weighted_metrics(),
        )
        listed = [*model.variables, *optimizer.variables]
        # Nadam keeps one variable out of its own list.
        seen = {id(variable) for variable in listed}
        unlisted = [each for each in vars(optimizer).values() if isinstance(each, tf.Variable) and id(each) not in seen]
        self._variables = [*listed, *unlisted]

    def values(self) -> Arrays:
        """Return their values, for a checkpoint."""
        return [variable.numpy() for variable in self._variables]

    def restore(self, checkpoint: Checkpoint) -> None:
        """Take over rank 0's variables, those of a checkpoint if it has one."""
        if checkpoint.variables and hvd.rank() == 0:
            for variable, value in zip(self._variables, checkpoint.variables, strict=True):
                variable.assign(value)
        hvd.broadcast_variables(self._variables, root_rank=0)

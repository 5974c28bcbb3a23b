"""The state of a training: the variables of the model and the optimizer, which are equal on all ranks."""

import horovod.tensorflow as hvd
import horovod.tensorflow.keras as hvd_keras
import tensorflow as tf
from tensorflow import keras

from components.train_classifier.learning_rate import learning_rate, warm_up_steps
from components.train_classifier.rank.callbacks import weighted_metrics
from components.train_classifier.rank.checkpoint import Arrays, Checkpoint


@keras.utils.register_keras_serializable("image-pipelines")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """The function `learning_rate` as a Keras schedule, for use in a graph.

    Args:
        steps_total: Steps of the whole training.
        ranks: Ranks that train together.
        base_rate: Learning rate of one rank.
    """

    def __init__(self, steps_total: int, ranks: int, base_rate: float) -> None:
        self._config = {"steps_total": steps_total, "ranks": ranks, "base_rate": base_rate}
        # The last of these steps and all steps after it have the full rate.
        steps = range(warm_up_steps(steps_total) + 1)
        self._rates = [learning_rate(step, steps_total, ranks, base_rate) for step in steps]

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Return the learning rate of a step."""
        return tf.constant(self._rates, tf.float32)[tf.minimum(tf.cast(step, tf.int32), len(self._rates) - 1)]

    def get_config(self) -> dict[str, float]:
        """Return the constructor's arguments. Horovod copies the schedule with them."""
        return dict(self._config)


class TrainingState:
    """The variables of a model and of its optimizer.

    Args:
        model: The model to train, which is compiled here.
        schedule: Learning rate of the Nadam optimizer by step.
    """

    def __init__(self, model: keras.Model, schedule: WarmUp) -> None:
        # On a GPU, Keras would compile the update with XLA by default, which is untested with Horovod.
        nadam = keras.optimizers.Nadam(learning_rate=schedule, jit_compile=False)
        optimizer = hvd_keras.DistributedOptimizer(nadam)
        # Horovod wraps this method in a graph function of its own. AutoGraph then takes seconds to convert the method,
        # without any effect. Keras calls the method inside a graph function anyway.
        optimizer._allreduce_grads = optimizer._allreduce_grads.python_function
        optimizer.build(model.trainable_variables)
        # Each rank divides its gradient by all rows of the step, padding included, and Horovod averages the ranks'
        # gradients. So each image has the same weight, whichever rank has padding.
        model.compile(
            optimizer=optimizer,
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            weighted_metrics=weighted_metrics(),
        )
        listed = [*model.variables, *optimizer.variables]
        # Nadam does not list all of its variables: `_u_product` is an attribute only.
        seen = {id(variable) for variable in listed}
        attributes = [value for value in vars(optimizer).values() if isinstance(value, tf.Variable)]
        unlisted = [variable for variable in attributes if id(variable) not in seen]
        self._variables = [*listed, *unlisted]

    def values(self) -> Arrays:
        """Return the values of all variables, for a checkpoint."""
        return [variable.numpy() for variable in self._variables]

    def restore(self, checkpoint: Checkpoint) -> None:
        """Set the variables of all ranks to rank 0's checkpoint, or else to rank 0's variables.

        Args:
            checkpoint: The checkpoint. It has no variables if the training is new.
        """
        if checkpoint.variables and hvd.rank() == 0:
            for variable, value in zip(self._variables, checkpoint.variables, strict=True):
                variable.assign(value)
        hvd.broadcast_variables(self._variables, root_rank=0)

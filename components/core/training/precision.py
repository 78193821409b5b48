"""The precision that training computes in, found by trial where the recipe leaves it open."""

import keras
import tensorflow as tf

from headstart.components.core.networks.precision import AUTO, BFLOAT16, FLOAT32, find_faster_precision, use_precision
from headstart.components.core.recipes.plan import Plan
from headstart.components.core.training.batches import TrainingBatches


def find_training_precision(model: keras.Model, plan: Plan, batches: TrainingBatches) -> str:
    """The precision to train in: the plan's, or for `AUTO` the faster one on this machine, found by trial.

    A deterministic plan must not depend on a timing: `AUTO` is `FLOAT32` there.

    Args:
        model: The model to be trained.
        plan: Hyperparameters and seed of this training phase.
        batches: Training batches; the first one is the trial's input.
    """
    if plan.training.precision != AUTO:
        return plan.training.precision
    if plan.deterministic:
        return FLOAT32
    inputs = tf.constant(batches[0][0])

    def traced(precision: str) -> tf.types.experimental.ConcreteFunction:
        with use_precision(model, precision):
            return tf.function(lambda batch: model(batch, training=False), autograph=False).get_concrete_function(
                inputs
            )

    plain = traced(FLOAT32)
    plain(inputs)
    return find_faster_precision(plain, lambda: traced(BFLOAT16), inputs, len(batches) * plan.training.epochs)

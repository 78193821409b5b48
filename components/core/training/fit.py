"""Training on a record, with the best epoch kept."""

import keras
import tensorflow as tf

from headstart.components.core.artifacts.history import Epoch
from headstart.components.core.features.compute import Features
from headstart.components.core.networks.precision import FLOAT32, use_precision
from headstart.components.core.recipes.plan import Plan
from headstart.components.core.training.batches import PlainBatches, TrainingBatches, stream
from headstart.components.core.training.best_epoch import BestEpoch, assign
from headstart.components.core.training.checkpoint import Checkpoint
from headstart.components.core.training.class_weights import class_weights
from headstart.components.core.training.input_wait_logger import InputWaitLogger
from headstart.components.core.training.optimizers import build_optimizer, schedule_of
from headstart.components.core.training.precision import training_precision
from headstart.components.core.training.resume import Saver, restore
from headstart.components.core.training.step_history import Steps
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event


class NoEpoch(HeadstartError):
    """The loss was not finite in the very first epoch: there is nothing to keep."""


def fit(
    tail: keras.Model,
    train: Features,
    validation: Features,
    plan: Plan,
    checkpoint: Checkpoint | None = None,
) -> list[Epoch]:
    """Trains, and leaves the weights of the epoch with the least validation loss.

    What was interrupted goes on from its checkpoint exactly as it would have gone on: the order and the views of each
    epoch depend on the seed and its number alone, and whatever else changes is in the checkpoint.

    Args:
        tail: Activations to the classifier's output; what is trainable in it is trained.
        train: Images to learn from.
        validation: Images to choose the epoch by.
        plan: How to train.
        checkpoint: Of this very training; None: there is none.

    Returns:
        One entry per epoch, up to the last with a finite loss.

    Raises:
        NoEpoch: The loss is not finite in the very first epoch. The weights are as they were.
    """
    keras.utils.set_random_seed(plan.seed)
    training, units = plan.training, tail.output.shape[-1]
    weights = class_weights(training, train.labels)
    if training.batch_size > train.images:
        event("batch_of_all_images", stage=plan.phase, batch_size=training.batch_size, images=train.images)
    state = checkpoint.read() if checkpoint else None
    batches = TrainingBatches(train, training, units, plan.seed, weights)
    total = len(batches) * training.epochs
    steps = Steps(schedule_of(training, total), total, batches)
    keeper = BestEpoch(plan, steps, state)
    savers = [Saver(checkpoint, keeper)] if checkpoint else []
    precision = training_precision(tail, plan, batches)
    with use_precision(tail, precision):
        compile_classifier(tail, build_optimizer(training, total))
        if not (state and state.finished):
            if state:
                restore(tail, state)
            tail.fit(
                stream(batches),
                epochs=training.epochs,
                initial_epoch=len(keeper.epochs),
                validation_data=stream(PlainBatches(validation, units, weights)),
                callbacks=[steps, keeper, *savers, InputWaitLogger(plan.phase, batches)],
                shuffle=False,
                verbose=0,
            )
    if precision != FLOAT32:
        # What has been traced computes in bfloat16; whoever evaluates from here on does not.
        compile_classifier(tail)
    assign(tail.trainable_variables, keeper.weights)
    if not keeper.epochs:
        raise NoEpoch(f"{plan.phase}: {keeper.lost}")
    return keeper.epochs


def compile_classifier(model: keras.Model, optimizer: keras.optimizers.Optimizer | str = "sgd") -> None:
    """Compiles with the loss that fits the output: one sigmoid unit or a softmax, with targets of that width.

    All variables of training are made here: were one made while a step is traced, TensorFlow would trace it twice.
    """
    if isinstance(optimizer, keras.optimizers.Optimizer):
        optimizer.build(model.trainable_variables)
    model.compile(
        optimizer=optimizer,
        loss="binary_crossentropy" if model.output.shape[-1] == 1 else "categorical_crossentropy",
        metrics=[keras.metrics.MeanMetricWrapper(accuracy, "accuracy")],
        # Keras compiles with XLA wherever it can; on a CPU it slows VGG16 by a third and gains MobileNetV2 nothing.
        jit_compile="auto" if tf.config.list_physical_devices("GPU") else False,
    )


def accuracy(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Whether each output, (n, units), is right: a soft target stands for its likeliest class."""
    if outputs.shape[-1] == 1:
        same = (targets > 0.5) == (outputs > 0.5)
        return keras.ops.mean(keras.ops.cast(same, "float32"), axis=-1)
    same = keras.ops.argmax(targets, axis=-1) == keras.ops.argmax(outputs, axis=-1)
    return keras.ops.cast(same, "float32")

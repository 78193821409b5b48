"""Training on cached features, which keeps the best epoch."""

import keras
import tensorflow as tf

from headstart.components.core.artifacts.history import Epoch
from headstart.components.core.features.compute import Features
from headstart.components.core.networks.precision import FLOAT32, use_precision
from headstart.components.core.recipes.plan import Plan
from headstart.components.core.training.batches import PlainBatches, TrainingBatches, to_tf_dataset
from headstart.components.core.training.best_epoch import BestEpoch
from headstart.components.core.training.checkpoint import Checkpoint
from headstart.components.core.training.class_weights import compute_class_weights
from headstart.components.core.training.fold_choice import FoldChoice
from headstart.components.core.training.input_wait_logger import InputWaitLogger
from headstart.components.core.training.optimizers import build_optimizer, build_schedule
from headstart.components.core.training.precision import find_training_precision
from headstart.components.core.training.resume import CheckpointWriter, restore_state
from headstart.components.core.training.step_history import StepHistory
from headstart.components.core.training.variables import set_values
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event, log_phase


class NoFiniteEpoch(HeadstartError):
    """The loss was not finite in the first epoch, so there are no trained weights to keep."""


def fit(
    tail: keras.Model,
    train: Features,
    validation: Features,
    plan: Plan,
    checkpoint: Checkpoint | None = None,
    choice: FoldChoice | None = None,
) -> list[Epoch]:
    """Trains a model and leaves the weights of the epoch with the lowest validation loss.

    Interrupted training resumes from its checkpoint exactly: order and views of each epoch depend on the seed and the
    epoch's number only, and everything else that changes is in the checkpoint.

    Args:
        tail: Model from cached features to the classifier's output; its trainable variables are trained.
        train: Cached features of the training set.
        validation: Cached features of the validation set, which chooses the epoch.
        plan: Hyperparameters and seed of this training phase.
        checkpoint: Checkpoint of this job; None: there is none.
        choice: Choice of a cross-validation, whose number of epochs is trained, at least one, with the learning rates
            that the plan's number gives; the validation set is not used. None: validation images choose.

    Returns:
        The epochs, up to the last one with a finite loss.

    Raises:
        NoFiniteEpoch: If the loss is not finite in the first epoch. The weights are the initial ones.
    """
    log_phase("compiling")
    keras.utils.set_random_seed(plan.seed)
    training, units = plan.training, tail.output.shape[-1]
    weights = compute_class_weights(training, train.labels)
    if training.batch_size > train.images:
        event("batch_of_all_images", stage=plan.phase, batch_size=training.batch_size, images=train.images)
    state = checkpoint.read() if checkpoint else None
    batches = TrainingBatches(train, training, units, plan.seed, weights)
    total = len(batches) * training.epochs
    steps = StepHistory(build_schedule(training, total), total, batches)
    best_epoch = BestEpoch(plan, steps, state, choice)
    writers = [CheckpointWriter(checkpoint, best_epoch)] if checkpoint else []
    precision = find_training_precision(tail, plan, batches)
    with use_precision(tail, precision):
        compile_classifier(tail, build_optimizer(training, total))
        if not (state and state.finished):
            if state:
                restore_state(tail, state)
            tail.fit(
                to_tf_dataset(batches),
                epochs=choice.epochs if choice else training.epochs,
                initial_epoch=len(best_epoch.epochs),
                validation_data=None if choice else to_tf_dataset(PlainBatches(validation, units, weights)),
                callbacks=[steps, best_epoch, *writers, InputWaitLogger(plan.phase, batches)],
                shuffle=False,
                verbose=0,
            )
    if precision != FLOAT32:
        # The traced functions compute in bfloat16; evaluation from here on must not.
        compile_classifier(tail)
    set_values(tail.trainable_variables, best_epoch.weights)
    if not best_epoch.epochs:
        raise NoFiniteEpoch(f"{plan.phase}: {best_epoch.failure}")
    return best_epoch.epochs


def compile_classifier(model: keras.Model, optimizer: keras.optimizers.Optimizer | str = "sgd") -> None:
    """Compiles a classifier with the loss that fits its output: one sigmoid unit or a softmax.

    The optimizer's variables are created here, since creating one while a step is traced would trace it twice.

    Args:
        model: Model to the classifier's output.
        optimizer: Optimizer, or its name by Keras.
    """
    if isinstance(optimizer, keras.optimizers.Optimizer):
        optimizer.build(model.trainable_variables)
    model.compile(
        optimizer=optimizer,
        loss="binary_crossentropy" if model.output.shape[-1] == 1 else "categorical_crossentropy",
        metrics=[keras.metrics.MeanMetricWrapper(accuracy, "accuracy")],
        # Keras uses XLA wherever it can; on a CPU it slows VGG16 by a third and does not speed up MobileNetV2.
        jit_compile="auto" if tf.config.list_physical_devices("GPU") else False,
    )


def accuracy(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Whether each output, (n, units), is correct; a soft target counts as its likeliest class."""
    if outputs.shape[-1] == 1:
        same = (targets > 0.5) == (outputs > 0.5)
        return keras.ops.mean(keras.ops.cast(same, "float32"), axis=-1)
    same = keras.ops.argmax(targets, axis=-1) == keras.ops.argmax(outputs, axis=-1)
    return keras.ops.cast(same, "float32")

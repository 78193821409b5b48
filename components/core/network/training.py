"""Training on a record, with the best epoch kept."""

import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from headstart.components.core.errors import HeadstartError
from headstart.components.core.history import Epoch
from headstart.components.core.logs import progress
from headstart.components.core.network.record import PlainBatches, Record, TrainingBatches
from headstart.components.core.plan import Plan

_WARMUP_SHARE = 0.1


def fit(tail: keras.Model, train: Record, validation: Record, plan: Plan, weight_decay: float = 0.004) -> list[Epoch]:
    """Trains with AdamW and leaves the weights of the epoch with the least validation loss.

    Args:
        tail: Activations to the classifier's output; what is trainable in it is trained.
        train: Images to learn from.
        validation: Images to choose the epoch by.
        plan: How to train.
        weight_decay: AdamW's, decoupled and scaled by the learning rate; Keras' default unless given.

    Returns:
        One entry per epoch.

    Raises:
        HeadstartError: The loss is not finite.
    """
    keras.utils.set_random_seed(plan.seed)
    batches = TrainingBatches(train, min(plan.batch_size, train.images), plan.seed)
    compile_classifier(tail, _schedule(plan, len(batches) * plan.epochs), weight_decay)
    keeper = _BestEpoch(plan)
    tail.fit(
        batches,
        epochs=plan.epochs,
        validation_data=PlainBatches(validation),
        callbacks=[keeper],
        verbose=0,
    )
    tail.set_weights(keeper.weights)
    return keeper.epochs


def compile_classifier(model: keras.Model, learning_rate: Any = 0.0, weight_decay: float = 0.0) -> None:
    """Compiles with the loss that fits the output: one sigmoid unit or a softmax, integer labels either way."""
    binary = model.output.shape[-1] == 1
    model.compile(
        optimizer=keras.optimizers.AdamW(learning_rate, weight_decay=weight_decay),
        loss="binary_crossentropy" if binary else "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        # Keras compiles with XLA wherever it can; on a CPU it slows VGG16 by a third and gains MobileNetV2 nothing.
        jit_compile="auto" if tf.config.list_physical_devices("GPU") else False,
    )


def _schedule(plan: Plan, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    warmup = max(1, round(_WARMUP_SHARE * steps))
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        warmup_target=plan.learning_rate,
        warmup_steps=warmup,
        decay_steps=max(1, steps - warmup),
    )


class _BestEpoch(keras.callbacks.Callback):
    """Logs each epoch, remembers the best one's weights, and stops at a loss that is not finite."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.weights: list[Any] = []
        self.epochs: list[Epoch] = []
        self._plan = plan
        self._best = np.inf

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        logs = logs or {}
        loss, held_out = logs["loss"], logs["val_loss"]
        if not np.isfinite([loss, held_out]).all():
            raise HeadstartError(
                f"{self._plan.stage}: the loss is {loss} in epoch {epoch + 1}; lower the learning rate "
                f"({self._plan.learning_rate:g})"
            )
        done = Epoch(
            stage=self._plan.stage,
            epoch=epoch + 1,
            seconds=time.monotonic() - self._started,
            learning_rate=float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
            loss=float(loss),
            accuracy=float(logs["accuracy"]),
            validation_loss=float(held_out),
            validation_accuracy=float(logs["val_accuracy"]),
        )
        self.epochs.append(done)
        if held_out < self._best:
            self._best, self.weights = held_out, self.model.get_weights()
        progress(
            self._plan.stage,
            epoch + 1,
            self._plan.epochs,
            unit="epochs",
            loss=done.loss,
            validation_loss=done.validation_loss,
            validation_accuracy=done.validation_accuracy,
        )

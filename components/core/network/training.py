"""Training on a record, with the best epoch kept."""

import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from headstart.components.core.errors import HeadstartError
from headstart.components.core.history import Epoch
from headstart.components.core.logs import event, progress
from headstart.components.core.network.batches import PlainBatches, TrainingBatches
from headstart.components.core.network.optimizer import Pace, build_optimizer
from headstart.components.core.network.precision import computed_in
from headstart.components.core.network.record import Record
from headstart.components.core.plan import Plan


def fit(tail: keras.Model, train: Record, validation: Record, plan: Plan, paces: Sequence[Pace] = ()) -> list[Epoch]:
    """Trains, and leaves the weights of the epoch with the least validation loss.

    Args:
        tail: Activations to the classifier's output; what is trainable in it is trained.
        train: Images to learn from.
        validation: Images to choose the epoch by.
        plan: How to train.
        paces: Of the trainable variables, in their order; empty: all move alike.

    Returns:
        One entry per epoch, up to the last with a finite loss.

    Raises:
        HeadstartError: The loss is not finite in the very first epoch.
    """
    keras.utils.set_random_seed(plan.seed)
    training, units = plan.training, tail.output.shape[-1]
    if training.batch_size > train.images:
        event("batch_of_all_images", stage=plan.stage, batch_size=training.batch_size, images=train.images)
    batches = TrainingBatches(train, training, units, plan.seed)
    keeper = _BestEpoch(plan)
    callbacks: list[keras.callbacks.Callback] = [keeper]
    if training.ema:
        # The average is in the model whenever it is validated, and when the keeper takes its weights.
        callbacks.insert(0, keras.callbacks.SwapEMAWeights(swap_on_epoch=True))
    if training.patience:
        callbacks.append(keras.callbacks.EarlyStopping("val_loss", patience=training.patience))
    with computed_in(tail, training.precision):
        compile_classifier(tail, build_optimizer(training, len(batches) * training.epochs, paces))
        tail.fit(
            batches,
            epochs=training.epochs,
            validation_data=PlainBatches(validation, units),
            class_weight=_balanced(train.labels) if training.class_weights == "balanced" else None,
            callbacks=callbacks,
            verbose=0,
        )
    if training.precision != "float32":
        # What has been traced computes in bfloat16; whoever evaluates from here on does not.
        compile_classifier(tail)
    tail.set_weights(keeper.weights)
    return keeper.epochs


def compile_classifier(model: keras.Model, optimizer: keras.optimizers.Optimizer | str = "sgd") -> None:
    """Compiles with the loss that fits the output: one sigmoid unit or a softmax, with targets of that width."""
    model.compile(
        optimizer=optimizer,
        loss="binary_crossentropy" if model.output.shape[-1] == 1 else "categorical_crossentropy",
        metrics=[accuracy],
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


def _balanced(labels: NDArray[np.int64]) -> dict[int, float]:
    """Weights under which each class that has images counts alike, 1 on average over the images."""
    classes, counts = np.unique(labels, return_counts=True)
    return {
        int(label): len(labels) / (len(classes) * int(count)) for label, count in zip(classes, counts, strict=True)
    }


class _BestEpoch(keras.callbacks.Callback):
    """Logs each epoch, remembers the best one's weights, and stops at a loss that is not finite."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.weights: list[Any] = []
        self.epochs: list[Epoch] = []
        self._plan = plan
        self._best = np.inf
        self._lost = False

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._started = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if not self._lost and not np.isfinite((logs or {})["loss"]):
            self._stop(f"is not finite after step {batch + 1} of epoch {len(self.epochs) + 1}")

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        logs = logs or {}
        loss, held_out = logs["loss"], logs["val_loss"]
        if not self._lost and not np.isfinite([loss, held_out]).all():
            self._stop(f"on validation images is not finite after epoch {epoch + 1}")
        if self._lost:
            return
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
            self._plan.training.epochs,
            unit="epochs",
            loss=done.loss,
            validation_loss=done.validation_loss,
            validation_accuracy=done.validation_accuracy,
        )

    def _stop(self, what: str) -> None:
        """Ends training; the best epoch so far is the result."""
        rate = f"{self._plan.stage}.learning_rate ({self._plan.training.learning_rate:g})"
        if not self.epochs:
            raise HeadstartError(f"{self._plan.stage}: the loss {what}; lower {rate}")
        self._lost = self.model.stop_training = True
        event("training_stopped", stage=self._plan.stage, reason=f"the loss {what}; lower {rate}")

"""Optimizers and learning-rate schedules of a training phase."""

from typing import TypeAlias

import keras
import tensorflow as tf

from headstart.components.core.recipes.recipe import TrainingSettings

_OPTIMIZERS = {
    "adamw": keras.optimizers.AdamW,
    "adam": keras.optimizers.Adam,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}
_WARMUP_SHARE = 0.1

Schedule: TypeAlias = float | keras.optimizers.schedules.LearningRateSchedule


def build_optimizer(
    training: TrainingSettings, steps: int, schedule: Schedule | None = None
) -> keras.optimizers.Optimizer:
    """Builds the optimizer of a training phase.

    Args:
        training: Settings of the phase.
        steps: Total number of steps.
        schedule: Learning rate or its schedule; None: that of the settings.
    """
    return _OPTIMIZERS[training.optimizer](
        learning_rate=build_schedule(training, steps) if schedule is None else schedule,
        weight_decay=training.weight_decay,
    )


def build_schedule(training: TrainingSettings, steps: int) -> Schedule:
    """Builds the learning-rate schedule of a training phase; a cosine over fewer than five steps has no warm-up.

    Args:
        training: Settings of the phase.
        steps: Total number of steps.
    """
    if training.schedule == "constant":
        return training.learning_rate
    warmup = round(_WARMUP_SHARE * steps)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else training.learning_rate,
        warmup_target=training.learning_rate if warmup else None,
        warmup_steps=warmup,
        decay_steps=max(1, steps - warmup),
    )


def compute_learning_rates(schedule: Schedule, steps: int) -> list[float]:
    """Learning rates of the first steps of a schedule."""
    if isinstance(schedule, float):
        return [schedule] * steps
    # Step by step in a graph: vectorizing the schedule's own conditions takes longer than all steps.
    rates = tf.function(lambda: tf.map_fn(schedule, tf.range(steps), fn_output_signature=tf.float32), autograph=False)
    return list(rates().numpy().tolist())

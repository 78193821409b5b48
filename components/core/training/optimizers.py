"""Optimizers: Keras' own, with a pace for each variable where parts of a network are to move differently."""

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeAlias

import keras

from headstart.components.core.networks.classifier import get_blocks
from headstart.components.core.recipes.recipe import FineTuning, Training

_OPTIMIZERS = {
    "adamw": keras.optimizers.AdamW,
    "adam": keras.optimizers.Adam,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}
_WARMUP_SHARE = 0.1


@dataclasses.dataclass(frozen=True)
class Pace:
    """How a variable moves.

    Attributes:
        factor: Of the learning rate.
        start: Share of all steps during which it stands still at first.
        pull: Strength of a decay towards its first value, decoupled from the gradient and scaled by the learning rate
            as weight decay is (L2-SP: X. Li et al., "Explicit Inductive Bias for Transfer Learning with Convolutional
            Networks", ICML 2018, arXiv:1802.01483; I. Loshchilov and F. Hutter, arXiv:1711.05101).
    """

    factor: float = 1.0
    start: float = 0.0
    pull: float = 0.0


Schedule: TypeAlias = float | keras.optimizers.schedules.LearningRateSchedule


def build_optimizer(
    training: Training, steps: int, paces: Sequence[Pace] = (), schedule: Schedule | None = None
) -> keras.optimizers.Optimizer:
    """The optimizer of a stage.

    Args:
        training: How the stage is trained.
        steps: In all.
        paces: One for each trainable variable, in their order; empty: all move alike.
        schedule: Of the learning rate; None: the stage's own.
    """
    kind = _OPTIMIZERS[training.optimizer]
    arguments: dict[str, Any] = {
        "learning_rate": schedule_of(training, steps) if schedule is None else schedule,
        "weight_decay": training.weight_decay,
    }
    if training.ema:
        arguments |= {"use_ema": True, "ema_momentum": training.ema}
    if all(pace == Pace() for pace in paces):
        return kind(**arguments)
    return _paced(kind, paces, steps)(**arguments)


def block_paces(base: keras.Model, variables: Sequence[keras.Variable], tuning: FineTuning) -> list[Pace]:
    """Paces that fall from block to block of a backbone, from the head downwards.

    The rate falls, and blocks join in, as in J. Howard and S. Ruder, "Universal Language Model Fine-tuning for Text
    Classification", ACL 2018, arXiv:1801.06146, sections 3.2 and 3.3.

    Args:
        base: The backbone.
        variables: What is trained; what is not the backbone's moves at full pace.
        tuning: Whether and how far.
    """
    trained = {id(variable) for variable in variables}
    blocks = []
    for layers in reversed(get_blocks(base).values()):
        own = {id(variable) for layer in layers for variable in layer.trainable_variables} & trained
        if own:
            blocks.append(own)
    depths = {each: depth for depth, block in enumerate(blocks, start=1) for each in block}
    return [
        Pace(tuning.layer_decay**depth, 0.5 * depth / len(blocks) if tuning.gradual else 0.0, tuning.pull)
        for depth in (depths.get(id(variable), 0) for variable in variables)
    ]


def schedule_of(training: Training, steps: int) -> Schedule:
    """The schedule of a stage's learning rate; a cosine of less than five steps has no warm-up to spend one on.

    Args:
        training: How the stage is trained.
        steps: In all.
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


def learning_rates(schedule: Schedule, steps: int) -> list[float]:
    """The learning rate of each of so many steps."""
    if isinstance(schedule, float):
        return [schedule] * steps
    return list(keras.ops.convert_to_numpy(keras.ops.vectorized_map(schedule, keras.ops.arange(steps))).tolist())


def _paced(kind: type[Any], paces: Sequence[Pace], steps: int) -> type[Any]:
    """A kind of optimizer whose variables have paces; Keras passes each of them through `update_step`."""

    class Paced(kind):
        def __init__(self, weight_decay: float, **arguments: Any) -> None:
            # Keras would let what stands still decay as well.
            super().__init__(weight_decay=0.0, **arguments)
            self._decay = weight_decay

        def build(self, variables: Sequence[keras.Variable]) -> None:
            if self.built:
                return
            super().build(variables)
            # Variables, so that a checkpoint has them, and each device its own.
            self._first = [
                self._copy(each) if pace.pull else None for each, pace in zip(variables, paces, strict=True)
            ]

        def _copy(self, variable: keras.Variable) -> keras.Variable:
            return self.add_variable_from_reference(variable, "first", lambda *_, **__: variable.value)

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            index = self._get_variable_index(variable)
            pace, first = paces[index], self._first[index]
            started = keras.ops.cast(self.iterations >= round(pace.start * steps), variable.dtype)
            rate = keras.ops.cast(learning_rate, variable.dtype) * pace.factor * started
            self.assign_sub(variable, self._decay * rate * variable)
            if first is not None:
                # A proximal step, which never goes past where it is pulled to.
                pull = pace.pull * rate
                self.assign_sub(variable, pull / (1 + pull) * (variable - first))
            super().update_step(gradient, variable, rate)

    return Paced

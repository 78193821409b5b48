"""Optimizers: Keras' own, with a pace for each variable where parts of a network are to move differently."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras

from headstart.components.core.network.classifier import blocks_of
from headstart.components.core.recipe import Training

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
    """

    factor: float = 1.0
    start: float = 0.0


def build_optimizer(training: Training, steps: int, paces: Sequence[Pace] = ()) -> keras.optimizers.Optimizer:
    """The optimizer of a stage.

    Args:
        training: How the stage is trained.
        steps: In all.
        paces: One for each trainable variable, in their order; empty: all move alike.
    """
    kind = _OPTIMIZERS[training.optimizer]
    arguments: dict[str, Any] = {"learning_rate": _schedule(training, steps), "weight_decay": training.weight_decay}
    if training.ema:
        arguments |= {"use_ema": True, "ema_momentum": training.ema}
    if all(pace == Pace() for pace in paces):
        return kind(**arguments)
    return _paced(kind, paces, steps)(**arguments)


def block_paces(base: keras.Model, variables: Sequence[keras.Variable], decay: float, gradual: bool) -> list[Pace]:
    """Paces that fall from block to block of a backbone, from the head downwards.

    Args:
        base: The backbone.
        variables: What is trained; what is not the backbone's moves at full pace.
        decay: Factor of the learning rate from each block to the one below it (J. Howard and S. Ruder, "Universal
            Language Model Fine-tuning for Text Classification", ACL 2018, arXiv:1801.06146, section 3.2).
        gradual: Whether blocks join in one after the other, the last of them halfway through (ibid., section 3.3).
    """
    trained = {id(variable) for variable in variables}
    blocks = []
    for layers in reversed(blocks_of(base).values()):
        own = {id(variable) for layer in layers for variable in layer.trainable_variables} & trained
        if own:
            blocks.append(own)
    depths = {each: depth for depth, block in enumerate(blocks, start=1) for each in block}
    return [
        Pace(decay**depth, 0.5 * depth / len(blocks) if gradual else 0.0)
        for depth in (depths.get(id(variable), 0) for variable in variables)
    ]


def _schedule(training: Training, steps: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    if training.schedule == "constant":
        return training.learning_rate
    warmup = max(1, round(_WARMUP_SHARE * steps))
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        warmup_target=training.learning_rate,
        warmup_steps=warmup,
        decay_steps=max(1, steps - warmup),
    )


def _paced(kind: type[Any], paces: Sequence[Pace], steps: int) -> type[Any]:
    """A kind of optimizer whose variables have paces; Keras passes each of them through `update_step`."""

    class Paced(kind):
        def __init__(self, weight_decay: float, **arguments: Any) -> None:
            # Keras would let what stands still decay as well.
            super().__init__(weight_decay=0.0, **arguments)
            self._decay = weight_decay

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            pace = paces[self._get_variable_index(variable)]
            started = keras.ops.cast(self.iterations >= round(pace.start * steps), variable.dtype)
            rate = keras.ops.cast(learning_rate, variable.dtype) * pace.factor * started
            self.assign_sub(variable, self._decay * rate * variable)
            super().update_step(gradient, variable, rate)

    return Paced

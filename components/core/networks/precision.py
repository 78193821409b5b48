"""Computing in bfloat16, which some processors do twice as fast as in float32, and others more slowly."""

import contextlib
import time
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from headstart.components.core.networks.classifier import PREPROCESS
from headstart.components.core.networks.image_batches import AUGMENTATION
from headstart.components.core.util.logs import event

FLOAT32, BFLOAT16, AUTO = "float32", "bfloat16", "auto"

# Tracing takes some seconds; the gain has to show through the noise of one batch each.
_SECONDS_WORTH_A_TRIAL = 30.0
_GAIN = 1.3
_HARMLESS = 0.01
"""Largest error of bfloat16, relative, root mean square; float16, in which records are kept, makes 0.0003."""

Function = Callable[[tf.Tensor], tf.Tensor]


@contextlib.contextmanager
def computed_in(model: keras.Model, precision: str) -> Iterator[None]:
    """Computes a network in another precision; afterwards it is as it was.

    Pixels keep all their digits until they are preprocessed, and so does the last layer's output, which a loss or a
    record is made of. The policy of a built layer can be changed: it says what inputs and weights are cast to.

    Args:
        model: A functional model; what is traced of it has to be traced within the block.
        precision: `FLOAT32` or `BFLOAT16`.
    """
    *layers, _ = _layers(model)
    before = [layer.dtype_policy for layer in layers]
    try:
        if precision == BFLOAT16:
            _set(layers, ["mixed_bfloat16"] * len(layers))
        yield
    finally:
        _set(layers, before)


def bfloat16_pays(plain: Function, reduced: Callable[[], Function], inputs: tf.Tensor, batches: int) -> bool:
    """Whether a function is clearly quicker in bfloat16 on this machine, and says nearly the same.

    Args:
        plain: The function in float32, which has run before.
        reduced: Makes the same in bfloat16; it is not called where the trial would take longer than what it gains.
        inputs: A batch, (n, …).
        batches: That are to come.
    """
    seconds, values = _timed(plain, inputs)
    if seconds * batches < _SECONDS_WORTH_A_TRIAL:
        return False
    run = reduced()
    run(inputs)
    tried, others = _timed(run, inputs)
    error = float(np.sqrt(np.square(others - values).mean() / max(np.square(values).mean(), np.finfo(float).tiny)))
    pays = tried * _GAIN < seconds and error < _HARMLESS
    event(
        "precision",
        chosen=BFLOAT16 if pays else FLOAT32,
        float32_images_per_second=len(inputs) / seconds,
        bfloat16_images_per_second=len(inputs) / tried,
        relative_error=error,
    )
    return pays


def _layers(model: keras.Model) -> Iterator[keras.Layer]:
    for layer in model.layers:
        if layer.name in (PREPROCESS, AUGMENTATION):
            continue
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        else:
            yield layer


def _set(layers: list[keras.Layer], policies: list[keras.DTypePolicy] | list[str]) -> None:
    for layer, policy in zip(layers, policies, strict=True):
        layer.dtype_policy = policy


def _timed(run: Function, inputs: tf.Tensor) -> tuple[float, NDArray[np.float32]]:
    started = time.perf_counter()
    values = run(inputs).numpy()
    return time.perf_counter() - started, values.astype(np.float32)

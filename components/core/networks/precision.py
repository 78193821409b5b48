"""Switching a network to bfloat16, in which some processors compute twice as fast and others more slowly."""

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

# Tracing takes seconds, and the gain has to stand out from the noise of timing one batch.
_SECONDS_WORTH_A_TRIAL = 30.0
_GAIN = 1.3
_HARMLESS = 0.01
"""Largest relative error of bfloat16, root mean square; storing features in float16 costs 0.0003."""

Function = Callable[[tf.Tensor], tf.Tensor]


@contextlib.contextmanager
def use_precision(model: keras.Model, precision: str) -> Iterator[None]:
    """Sets the precision that a network computes in; at the block's end it is as before.

    Preprocessing and the last layer stay in float32: a loss or cached features need the output's full precision. The
    policy of a built layer can be changed, as it only says what inputs and weights are cast to.

    Args:
        model: A functional model. Graphs in this precision have to be traced within the block.
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


def find_faster_precision(
    plain: Function, build_reduced: Callable[[], Function], inputs: tf.Tensor, batches: int
) -> str:
    """Times a function in float32 and in bfloat16, which takes seconds.

    Args:
        plain: The function in float32; it has run before, so that its tracing is not timed.
        build_reduced: Builds the same function in bfloat16. It is not called if the trial would take longer than it
            could gain.
        inputs: One batch, (n, …).
        batches: Number of batches that are to be computed.

    Returns:
        `BFLOAT16` if it is clearly faster on this machine and gives nearly the same values, else `FLOAT32`.
    """
    seconds, values = _timed(plain, inputs)
    if seconds * batches < _SECONDS_WORTH_A_TRIAL:
        return FLOAT32
    run = build_reduced()
    run(inputs)
    tried, others = _timed(run, inputs)
    error = float(np.sqrt(np.square(others - values).mean() / max(np.square(values).mean(), np.finfo(float).tiny)))
    chosen = BFLOAT16 if tried * _GAIN < seconds and error < _HARMLESS else FLOAT32
    event(
        "precision",
        chosen=chosen,
        float32_images_per_second=len(inputs) / seconds,
        bfloat16_images_per_second=len(inputs) / tried,
        relative_error=error,
    )
    return chosen


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

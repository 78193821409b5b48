"""Computing in bfloat16, which some processors do twice as fast as in float32, and others more slowly."""

import contextlib
import time
from collections.abc import Iterator

import keras
import tensorflow as tf

from headstart.components.core.logs import event
from headstart.components.core.network.classifier import PREPROCESS
from headstart.components.core.network.images import AUGMENTATION

BFLOAT16 = "mixed_bfloat16"
_BATCH = 32
_REPEATS = 3
# Less is not worth the digits.
_LEAST_GAIN = 1.2


def in_bfloat16(front: keras.Model) -> keras.Model:
    """A copy of a network, with the same weights, whose backbone computes in bfloat16.

    What is around the backbone stays in float32: pixels have more levels than bfloat16 tells apart, and pooling adds
    up many numbers.

    Args:
        front: Resized pixels to activations, of `cut`.
    """
    outside = {id(operation) for operation in front.operations}

    def copied(operation: keras.Operation) -> keras.Operation:
        config = operation.get_config()
        if isinstance(operation, keras.Layer) and id(operation) not in outside:
            config["dtype"] = BFLOAT16
        return type(operation).from_config(config)

    twin = keras.models.clone_model(front, clone_function=copied, recursive=True)
    twin.set_weights(front.get_weights())
    return twin


@contextlib.contextmanager
def computed_in(model: keras.Model, precision: str) -> Iterator[None]:
    """Computes a network in another precision; afterwards it is as it was.

    Pixels keep all their digits until they are preprocessed, and so does the last layer's output, which a loss or a
    record is made of. The policy of a built layer can be changed: it says what inputs and weights are cast to.

    Args:
        model: A functional model; what is traced of it has to be traced within the block.
        precision: ``float32``, ``bfloat16``, or ``auto``: bfloat16 where it is clearly quicker on this machine.
    """
    layers = [layer for layer in _layers(model) if layer is not model.layers[-1]]
    before = [layer.dtype_policy for layer in layers]
    try:
        if precision != "float32":
            _set(layers, [BFLOAT16] * len(layers))
        if precision == "auto":
            quick = _seconds(model)
            _set(layers, before)
            gain = _seconds(model) / quick
            event("precision", gain=gain, chosen="bfloat16" if gain >= _LEAST_GAIN else "float32")
            if gain >= _LEAST_GAIN:
                _set(layers, [BFLOAT16] * len(layers))
        yield
    finally:
        _set(layers, before)


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


def _seconds(model: keras.Model) -> float:
    """The least of some forward passes, traced before."""
    inputs = tf.zeros((_BATCH, *model.input.shape[1:]))
    run = tf.function(lambda batch: model(batch, training=False))
    run(inputs)
    seconds = []
    for _ in range(_REPEATS):
        started = time.monotonic()
        run(inputs).numpy()
        seconds.append(time.monotonic() - started)
    return min(seconds)

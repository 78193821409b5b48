"""Depthwise convolutions in the layer that TensorFlow has a fast kernel for."""

import keras
import numpy as np


def use_depthwise_convolutions(base: keras.Model) -> keras.Model:
    """Replaces each convolution that has one group per channel by a `DepthwiseConv2D`.

    Keras' ConvNeXt has such convolutions, `Conv2D(groups=channels)`, which TensorFlow computes one by one on a CPU:
    7 x 7 over 96 channels at 56 x 56 takes 396 ms for 8 images, and 21 ms as a depthwise convolution.

    Args:
        base: Backbone with its weights.

    Returns:
        A network with the same layer names, whose outputs differ only by rounding; `base` itself if it has no such
        convolution.
    """
    if not any(map(_is_depthwise, base.layers)):
        return base
    changed = keras.models.clone_model(base, clone_function=_clone)
    for before, after in zip(base.layers, changed.layers, strict=True):
        values = before.get_weights()
        if _is_depthwise(before):
            values[0] = np.swapaxes(values[0], 2, 3)
        after.set_weights(values)
    return changed


def _is_depthwise(layer: keras.Layer) -> bool:
    return type(layer) is keras.layers.Conv2D and 1 < layer.groups == layer.filters == layer.input.shape[-1]


def _clone(layer: keras.Layer) -> keras.Layer:
    if not _is_depthwise(layer):
        return type(layer).from_config(layer.get_config())
    return keras.layers.DepthwiseConv2D(
        layer.kernel_size,
        layer.strides,
        layer.padding,
        dilation_rate=layer.dilation_rate,
        activation=layer.activation,
        use_bias=layer.use_bias,
        dtype=layer.dtype_policy,
        name=layer.name,
    )

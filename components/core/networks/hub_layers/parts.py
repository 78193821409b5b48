"""What translations of layers of KerasHub are made of."""

import re
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from headstart.components.core.networks.classifier import SHARES
from headstart.components.core.networks.hub_layers.keras_only import KerasOnly

Array = NDArray[np.float32]


def read_weight(weight: Any) -> Array:
    """Value of a weight, float32."""
    return np.asarray(keras.ops.convert_to_numpy(weight), np.float32)


def as_tokens(copy: KerasOnly, x: Any, *, name: str) -> Any:
    """The places of a map, (n, height, width, channels), as tokens, (n, height · width, channels)."""
    return copy.new(keras.layers.Reshape, (x.shape[1] * x.shape[2], x.shape[3]), name=name)(x)


def call_all(copy: KerasOnly, layers: Sequence[keras.Layer], x: Any) -> Any:
    """Applies layers one after the other."""
    for layer in layers:
        x = copy.call(layer, x)
    return x


def drop(copy: KerasOnly, dropout: Any, x: Any) -> Any:
    """Applies dropout, if there is a layer for it that drops anything."""
    return copy.call(dropout, x) if dropout and dropout.rate else x


def embed_patches(copy: KerasOnly, patches: keras.Layer, pixels: Any, tokens: Sequence[Any], positions: Any) -> Any:
    """Patches as tokens, behind further tokens, and all with their positions.

    Args:
        copy: Copy that is being made.
        patches: Convolution of the patches.
        pixels: Images.
        tokens: Tokens before the patches, (1, n, width) or (1, width) each, already with their positions.
        positions: Positions of the patches, (patches, width).
    """
    x = copy.call(patches, pixels)
    width = x.shape[-1]
    x = as_tokens(copy, x, name="patches")
    table = np.concatenate([*(np.reshape(each, (-1, width)) for each in tokens), positions])
    if more := len(table) - x.shape[1]:
        x = copy.new(keras.layers.ZeroPadding1D, (more, 0), name="tokens")(x)
    return scale_tokens(copy, x, "n", [np.ones(len(table), np.float32), table], name="positions")


def attend(copy: KerasOnly, layer: Any, scores: Any, value: Any) -> Any:
    """What the tokens take of each other's values, by their scores."""
    shares = copy.new(keras.layers.Softmax, name=SHARES)(scores)
    return keras.ops.matmul(drop(copy, layer, shares), value)


def einsum(
    copy: KerasOnly,
    x: Any,
    equation: str,
    weights: Sequence[Array],
    bias_axes: str = "",
    *,
    name: str,
    trainable: bool = True,
) -> Any:
    """Multiplies by a kernel, and perhaps adds a bias.

    Args:
        copy: Copy that is being made.
        x: Tensor to multiply; all axes but that of the batch have a known size.
        equation: The product, as `keras.layers.EinsumDense` has it; the first axis is the batch.
        weights: Kernel, and with `bias_axes` a bias of these axes.
        bias_axes: Axes of the bias, in the order of the output.
        name: Name of the layer.
        trainable: Whether the weights are parameters.
    """
    inputs, kernel, output = re.split(",|->", equation)
    sizes = dict(zip(inputs, x.shape, strict=True)) | dict(zip(kernel, weights[0].shape, strict=True))
    shape = [sizes[axis] for axis in output[1:]]
    layer = copy.new(
        keras.layers.EinsumDense, equation, shape, bias_axes=bias_axes or None, name=name, trainable=trainable
    )
    y = layer(x)
    layer.set_weights([np.reshape(value, weight.shape) for value, weight in zip(weights, layer.weights, strict=True)])
    return y


def scale_tokens(copy: KerasOnly, x: Any, axis: str, weights: Sequence[Array], *, name: str) -> Any:
    """Multiplies tokens by factors, and perhaps adds a bias.

    They get two more axes for it: LiteRT's converter mixes up the axes of a product of which the factors lack two.

    Args:
        copy: Copy that is being made.
        x: Tokens, (n, tokens, width).
        axis: Axis of the factors, `n` for tokens or `d` for width.
        weights: Factors, and perhaps a bias, (tokens, width).
        name: Name of the layer that has the weights.
    """
    # With dots: a number with an underscore behind it would begin a block.
    y = copy.new(keras.layers.Reshape, (1, 1, *x.shape[1:]), name=f"{name}.before")(x)
    bias_axes = "nd" if len(weights) > 1 else ""
    y = einsum(copy, y, f"bijnd,{axis}->bijnd", weights, bias_axes, name=name)
    return copy.new(keras.layers.Reshape, x.shape[1:], name=f"{name}.after")(y)


def scale_width(copy: KerasOnly, layer: Any, x: Any) -> Any:
    """Translates a layer that multiplies each channel of tokens by a factor."""
    return scale_tokens(copy, x, "d", [read_weight(layer.lambda1)], name=layer.name)

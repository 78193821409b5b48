"""BatchNorm folding: batch normalisation multiplied into the convolution below it, for faster inference.

Only one thread at a time may run such a graph. TensorFlow 2.21 fuses bias and activation into oneDNN's convolution,
which for some networks (`sketchnet` at 32 pixels) crashes the process when two threads run it at once.
"""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

_CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D)


def fold_batchnorm(model: keras.Model) -> keras.Model:
    """Folds each BatchNormalization that follows a convolution into the convolution's kernel and bias.

    In inference it multiplies each channel and adds to it, which kernel and bias can do. That saves two passes over
    the activations, and TensorFlow computes convolution, bias and activation at once. Outputs differ by rounding.

    Source: B. Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference", CVPR 2018, section 3.2.

    Args:
        model: A functional model.

    Returns:
        A model for inference that shares all other layers with `model`; `model` itself if nothing can be folded.
    """
    norms = {convolution.name: norm for convolution, norm in _find_foldable(model)}
    nested = [each for each in model.operations if isinstance(each, keras.Model)]
    folded = {each.name: fold_batchnorm(each) for each in nested if not isinstance(each, keras.Sequential)}
    if not norms and all(folded.get(each.name, each) is each for each in nested):
        return model
    removed = {norm.name for norm in norms.values()}

    def clone(operation: keras.Operation) -> keras.Operation:
        if operation.name in norms:
            return type(operation).from_config(operation.get_config() | {"use_bias": True})
        return folded.get(operation.name, operation)

    def call(operation: keras.Operation, *inputs: Any, **options: Any) -> Any:
        return inputs[0] if operation.name in removed else operation(*inputs, **options)

    result = keras.models.clone_model(model, clone_function=clone, call_function=call)
    for name, norm in norms.items():
        result.get_layer(name).set_weights(_fold_weights(model.get_layer(name), norm))
    return result


def _find_foldable(model: keras.Model) -> Iterator[tuple[keras.Layer, keras.layers.BatchNormalization]]:
    """Finds convolutions whose output goes to a BatchNormalization and nowhere else; yields both layers."""
    nodes = [node for depth in model._nodes_by_depth.values() for node in depth]
    consumers: dict[int, list[keras.Operation]] = {}
    for node in nodes:
        for tensor in node.input_tensors:
            consumers.setdefault(id(tensor), []).append(node.operation)
    outputs = {id(tensor) for tensor in model.outputs}
    for node in nodes:
        convolution, output = node.operation, node.outputs[0]
        if type(convolution) not in _CONVOLUTIONS or convolution.activation is not keras.activations.linear:
            continue
        match consumers.get(id(output), []):
            case [keras.layers.BatchNormalization() as norm] if id(output) not in outputs and norm.axis in (-1, 3):
                yield convolution, norm


def _fold_weights(convolution: keras.Layer, norm: keras.layers.BatchNormalization) -> list[NDArray[np.float32]]:
    """Kernels and bias that do what the convolution and the BatchNormalization do together."""
    *kernels, bias = convolution.get_weights() if convolution.use_bias else [*convolution.get_weights(), 0.0]
    mean, variance = (np.asarray(each, np.float64) for each in (norm.moving_mean, norm.moving_variance))
    factor = (np.asarray(norm.gamma) if norm.scale else 1.0) / np.sqrt(variance + norm.epsilon)
    shift = (np.asarray(norm.beta) if norm.center else 0.0) + (bias - mean) * factor
    if type(convolution) is keras.layers.DepthwiseConv2D:
        # The kernel's last axes are input channels and depth multiplier, not output channels.
        factor = factor.reshape(kernels[-1].shape[-2:])
    return [each.astype(np.float32) for each in (*kernels[:-1], kernels[-1] * factor, shift)]

"""BatchNormalization at rest, multiplied into the convolution below it: a network that says the same in less time.

Only for graphs that are run once at a time: TensorFlow 2.21 fuses the bias and what follows it into oneDNN's
convolution, which for some networks (`sketchnet` at 32 pixels) crashes the process when two threads run the graph.
"""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

_CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D)


def fold_batchnorm(model: keras.Model) -> keras.Model:
    """The same function for inference, without what BatchNormalization costs where it stands on a convolution.

    At rest it multiplies each channel and adds to it, which the convolution's kernel and bias can do: two passes less
    over the activations, and TensorFlow computes convolution, bias and activation in one. Outputs differ by rounding.
    All other layers are shared with the model. See B. Jacob et al., "Quantization and Training of Neural Networks for
    Efficient Integer-Arithmetic-Only Inference", CVPR 2018, section 3.2.

    Args:
        model: A functional model; it is returned itself where nothing can be folded.
    """
    norms = {convolution.name: norm for convolution, norm in _foldable(model)}
    models = [each for each in model.operations if isinstance(each, keras.Model)]
    within = {each.name: fold_batchnorm(each) for each in models if not isinstance(each, keras.Sequential)}
    if not norms and all(within.get(each.name, each) is each for each in models):
        return model
    gone = {norm.name for norm in norms.values()}

    def clone(operation: keras.Operation) -> keras.Operation:
        if operation.name in norms:
            return type(operation).from_config(operation.get_config() | {"use_bias": True})
        return within.get(operation.name, operation)

    def call(operation: keras.Operation, *inputs: Any, **options: Any) -> Any:
        return inputs[0] if operation.name in gone else operation(*inputs, **options)

    result = keras.models.clone_model(model, clone_function=clone, call_function=call)
    for name, norm in norms.items():
        result.get_layer(name).set_weights(_weights(model.get_layer(name), norm))
    return result


def _foldable(model: keras.Model) -> Iterator[tuple[keras.Layer, keras.layers.BatchNormalization]]:
    """Convolutions of which nothing but a BatchNormalization takes the output, with it."""
    nodes = [node for depth in model._nodes_by_depth.values() for node in depth]
    takers: dict[int, list[keras.Operation]] = {}
    for node in nodes:
        for tensor in node.input_tensors:
            takers.setdefault(id(tensor), []).append(node.operation)
    results = {id(tensor) for tensor in model.outputs}
    for node in nodes:
        convolution, output = node.operation, node.outputs[0]
        if type(convolution) not in _CONVOLUTIONS or convolution.activation is not keras.activations.linear:
            continue
        match takers.get(id(output), []):
            case [keras.layers.BatchNormalization() as norm] if id(output) not in results and norm.axis in (-1, 3):
                yield convolution, norm


def _weights(convolution: keras.Layer, norm: keras.layers.BatchNormalization) -> list[NDArray[np.float32]]:
    """Kernels and bias of the convolution and what stands on it together."""
    *kernels, bias = convolution.get_weights() if convolution.use_bias else [*convolution.get_weights(), 0.0]
    mean, variance = (np.asarray(each, np.float64) for each in (norm.moving_mean, norm.moving_variance))
    factor = (np.asarray(norm.gamma) if norm.scale else 1.0) / np.sqrt(variance + norm.epsilon)
    shift = (np.asarray(norm.beta) if norm.center else 0.0) + (bias - mean) * factor
    if type(convolution) is keras.layers.DepthwiseConv2D:
        # Its kernel ends with the input's channels and what becomes of each, not with the output's channels.
        factor = factor.reshape(kernels[-1].shape[-2:])
    return [each.astype(np.float32) for each in (*kernels[:-1], kernels[-1] * factor, shift)]
